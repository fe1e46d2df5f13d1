from itertools import pairwise

import numpy as np
import pytest

from agents.strategies.measured_losses import TIE, measure_word_losses
from envs.toys import TOYS, separable
from envs.word_loss import MOST_LOST


def n_compressed_entries(search):
    return sum(len(menu) - 1 for menu in search.budget.weights)


def judged(search):
    """Layer -> its entries that were measured, in order; judges the cheapest plan, so that there is a result to ask."""
    budget = search.budget
    cheapest = budget.plan(budget.cheapest)
    search.recorder(cheapest)
    found = {layer: [] for layer in range(len(budget.names))}
    for trial in search.recorder.result("", 0).trials:
        entries = budget.entries(trial.plan)
        for layer, menu in enumerate(budget.weights):
            if trial.plan != cheapest and entries[layer] < len(menu) - 1:
                found[layer].append(entries[layer])
    return found


@pytest.mark.parametrize("name", TOYS)
def test_with_enough_evaluations_every_loss_is_the_toys_own(make_search, name):
    toy = TOYS[name]()
    search = make_search(toy, evaluations=1000)
    measured = measure_word_losses(search, reserve=1)
    assert 1000 - search.recorder.evaluations_left == n_compressed_entries(search)
    for row, own in zip(measured, toy.word_losses, strict=True):
        assert row == pytest.approx(own, abs=2 * TIE)


@pytest.mark.parametrize("evaluations", [0, 1, 4, 6, 7, 20])
def test_few_evaluations_are_spread_over_the_layers_and_leave_the_reserve(make_search, evaluations):
    toy = separable()
    search = make_search(toy, evaluations=evaluations + 3)
    losses = measure_word_losses(search, reserve=3)
    assert search.recorder.evaluations_left == 3
    assert all(a >= b >= 0.0 for row in losses for a, b in pairwise(row))
    assert all(row[-1] == 0.0 for row in losses)
    if evaluations:
        counts = np.array([len(entries) for entries in judged(search).values()])
        assert counts.sum() == evaluations
        assert counts.max() - counts.min() <= 1


def test_each_layer_is_measured_in_the_middle_first_and_then_where_least_is_known(make_search):
    toy = separable()
    search = make_search(toy, evaluations=1000)
    measure_word_losses(search, reserve=1)
    assert list(judged(search).values()) == [[2, 0, 1, 3, 4]] * 6  # of six entries, the last dense


def test_more_evaluations_measure_the_same_first(make_search):
    orders = []
    for evaluations in (9, 21):
        search = make_search(separable(), evaluations=evaluations)
        measure_word_losses(search, reserve=1)
        search.recorder(search.budget.plan(search.budget.cheapest))
        orders.append([trial.plan for trial in search.recorder.result("", 0).trials[:-1]])
    assert orders[1][:8] == orders[0]


def test_a_layer_that_ruins_the_recogniser_has_a_finite_loss(make_search):
    search = make_search(separable(), evaluations=1000, evaluate=lambda plan: 2.5)
    losses = measure_word_losses(search, reserve=1)
    assert max(map(max, losses)) == pytest.approx(np.log((1.0 - 0.01) / (1.0 - MOST_LOST)), abs=2 * TIE)


def test_without_measurable_losses_the_order_is_that_of_the_energies(make_search):
    search = make_search(separable(), evaluations=1000, evaluate=lambda plan: 0.0)
    losses = measure_word_losses(search, reserve=1)
    for row, kept in zip(losses, search.energies, strict=True):
        assert row == pytest.approx([TIE * (1.0 - share) for share in kept])


def test_a_stop_ends_the_measuring(make_search):
    asked = iter([False] * 3)
    search = make_search(separable(), evaluations=100, should_stop=lambda: next(asked, True))
    measure_word_losses(search, reserve=1)
    assert search.recorder.evaluations_left == 97
