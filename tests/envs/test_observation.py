from itertools import pairwise

import numpy as np
import pytest

from envs.budget import Budget
from envs.observation import KINDS, Observer

SHAPES = [(16, 16), (32, 8), (24, 40)]
LOSSES = ((2.0, 0.2, 0.0), (0.02, 0.0), (1e-9, 0.0))


@pytest.fixture
def observer(make_problem):
    problem = make_problem(SHAPES, compression_ratio=2.5)
    budget = Budget.of(problem)
    return Observer(budget, problem.decisions, problem.retained_energies, LOSSES)


@pytest.mark.parametrize("layer", range(len(SHAPES) + 1))
def test_every_state_lies_in_the_observation_space(observer, layer):
    last = tuple(len(menu) - 1 for menu in observer.budget.weights)
    assert observer.observe(layer, observer.budget.cheapest, set(range(layer))) in observer.space
    assert observer.observe(layer, last, set()) in observer.space


def test_the_first_columns_say_which_layer_chooses_and_what_it_is(observer):
    seen = observer.observe(1, (0, 0, 0), {0})
    share = 32 * 8 / sum(out * inp for out, inp in SHAPES)
    assert seen[:3].tolist() == [0.0, 1.0, 0.0]
    assert seen[3 : 3 + len(KINDS)].tolist() == [1.0, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(seen[7:10], [5 / 20, 3 / 20, share], rtol=1e-6)


def test_losses_are_told_by_their_logarithm_beside_the_largest_of_all_layers(observer):
    menu = max(map(len, observer.budget.weights))
    columns = slice(10 + menu, 10 + 2 * menu)
    first, second, third = (observer.observe(layer, (0, 0, 0), set())[columns] for layer in range(3))
    np.testing.assert_allclose(first[:3], [1.0, 0.8, 0.0], atol=1e-6)
    np.testing.assert_allclose(second[:2], [0.6, 0.0], atol=1e-6)
    assert not third.any(), "too little to count"
    assert not first[3:].any()


def test_after_the_last_choice_no_layer_is_marked(observer):
    seen = observer.observe(len(SHAPES), (0, 0, 0), {0, 1, 2})
    assert not seen[: len(SHAPES)].any()


def test_budget_columns_fall_as_layers_settle(observer):
    entries = (2, 2, 0)
    n = len(SHAPES)
    states = [observer.observe(layer, entries, set(range(layer)))[-2 * n - 2 : -2 * n] for layer in range(3)]
    assert states[0].tolist() == [1.0, 1.0]
    assert all((later < earlier).all() for earlier, later in pairwise(states))


def test_the_last_columns_hold_every_layers_entry_and_whether_it_is_settled(observer):
    entries = (0, len(observer.budget.weights[1]) - 1, 0)
    seen = observer.observe(2, entries, {1})
    assert seen[-6:].tolist() == [-1.0, 1.0, -1.0, 0.0, 1.0, 0.0]
