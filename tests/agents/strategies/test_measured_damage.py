import dataclasses
from itertools import pairwise, product

import numpy as np
import pytest

from agents.strategies.least_damage import MAX_CELLS, least_damage
from agents.strategies.measured_damage import TIE, measure_damages
from envs.budget import Budget
from envs.toys import TOYS, recogniser, separable
from envs.word_damage import MOST_LOST


def n_compressed_entries(search):
    return sum(len(menu) - 1 for menu in search.budget.menus)


def judged(search):
    """Layer -> its entries that were measured, in order; judges the cheapest plan, so that there is a result to ask."""
    budget = search.budget
    cheapest = budget.plan(budget.cheapest)
    search.recorder(cheapest)
    found = {layer: [] for layer in range(len(budget.names))}
    for trial in search.recorder.result("", 0).trials:
        entries = budget.entries(trial.plan)
        for layer, menu in enumerate(budget.menus):
            if trial.plan != cheapest and entries[layer] < len(menu) - 1:
                found[layer].append(entries[layer])
    return found


@pytest.mark.parametrize("name", TOYS)
def test_with_enough_evaluations_every_damage_is_the_toys_own(make_search, name):
    toy = TOYS[name]()
    search = make_search(toy, evaluations=1000)
    measured = measure_damages(search, reserve=1)
    assert 1000 - search.recorder.evaluations_left == n_compressed_entries(search)
    for row, own in zip(measured, toy.damage, strict=True):
        assert row == pytest.approx(own, abs=2 * TIE)


@pytest.mark.parametrize("evaluations", [0, 1, 4, 6, 7, 20])
def test_few_evaluations_are_spread_over_the_layers_and_leave_the_reserve(make_search, evaluations):
    toy = separable()
    search = make_search(toy, evaluations=evaluations + 3)
    damages = measure_damages(search, reserve=3)
    assert search.recorder.evaluations_left == 3
    assert all(a >= b >= 0.0 for row in damages for a, b in pairwise(row))
    assert all(row[-1] == 0.0 for row in damages)
    if evaluations:
        counts = np.array([len(entries) for entries in judged(search).values()])
        assert counts.sum() == evaluations
        assert counts.max() - counts.min() <= 1


def test_each_layer_is_measured_in_the_middle_first_and_then_where_least_is_known(make_search):
    toy = separable()
    search = make_search(toy, evaluations=1000)
    measure_damages(search, reserve=1)
    assert list(judged(search).values()) == [[2, 0, 1, 3, 4]] * 6  # of six entries, the last dense


def test_more_evaluations_measure_the_same_first(make_search):
    orders = []
    for evaluations in (9, 21):
        search = make_search(separable(), evaluations=evaluations)
        measure_damages(search, reserve=1)
        search.recorder(search.budget.plan(search.budget.cheapest))
        orders.append([trial.plan for trial in search.recorder.result("", 0).trials[:-1]])
    assert orders[1][:8] == orders[0]


def test_a_layer_that_ruins_the_recogniser_has_a_finite_damage(make_search):
    search = make_search(separable(), evaluations=1000, evaluate=lambda plan: 2.5)
    damages = measure_damages(search, reserve=1)
    assert max(map(max, damages)) == pytest.approx(np.log((1.0 - 0.01) / (1.0 - MOST_LOST)), abs=2 * TIE)


def test_without_measurable_damage_the_order_is_that_of_the_energies(make_search):
    search = make_search(separable(), evaluations=1000, evaluate=lambda plan: 0.0)
    damages = measure_damages(search, reserve=1)
    for row, kept in zip(damages, search.energies, strict=True):
        assert row == pytest.approx([TIE * (1.0 - share) for share in kept])


def test_a_stop_ends_the_measuring(make_search):
    asked = iter([False] * 3)
    search = make_search(separable(), evaluations=100, should_stop=lambda: next(asked, True))
    measure_damages(search, reserve=1)
    assert search.recorder.evaluations_left == 97


@pytest.mark.parametrize("seed", range(4))
def test_dynamic_programming_finds_what_exhaustive_search_finds(seed):
    toy = separable(seed)
    budget = Budget.of(toy.problem)

    def total(entries):
        return sum(row[entry] for row, entry in zip(toy.damage, entries, strict=True))

    entries = least_damage(budget, toy.damage)
    everything = product(*(range(len(menu)) for menu in budget.menus))
    assert budget.spent(entries) <= budget.limit
    assert total(entries) == pytest.approx(min(total(e) for e in everything if budget.spent(e) <= budget.limit))


def test_prices_rounded_up_stay_within_the_budget_and_cost_little():
    toy = recogniser()
    exact = Budget.of(toy.problem)
    odd = tuple(tuple(1009 * price + 17 * i for i, price in enumerate(prices)) for prices in exact.weights)
    coarse = dataclasses.replace(exact, weights=odd, limit=1009 * exact.limit)
    assert coarse.limit - coarse.spent(coarse.cheapest) > MAX_CELLS
    entries = least_damage(coarse, toy.damage)

    def total(entries):
        return sum(row[entry] for row, entry in zip(toy.damage, entries, strict=True))

    assert coarse.spent(entries) <= coarse.limit
    assert total(entries) <= 1.02 * total(least_damage(exact, toy.damage))
