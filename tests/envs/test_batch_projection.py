import numpy as np
import pytest

from envs.batch_projection import BatchProjection
from envs.budget import Budget
from envs.projection import fit_to_budget
from envs.toys import TOYS, separable


def random_plans(budget, n, seed):
    """[n, n_layers] entries, and which of them are pinned."""
    rng = np.random.default_rng(seed)
    entries = np.column_stack([rng.integers(len(prices), size=n) for prices in budget.weights])
    return entries, rng.random(entries.shape) < 0.4


@pytest.mark.parametrize("name", TOYS)
def test_each_row_is_what_fitting_it_alone_gives(name):
    toy = TOYS[name]()
    budget = Budget.of(toy.problem)
    energies = toy.problem.retained_energies
    entries, pinned = random_plans(budget, 40, seed=0)
    one_by_one = [
        fit_to_budget(row, budget, energies, pinned=np.flatnonzero(pins).tolist())
        for row, pins in zip(entries.tolist(), pinned, strict=True)
    ]
    assert BatchProjection.of(budget, energies).fit(entries, pinned).tolist() == [list(row) for row in one_by_one]


def test_menus_of_different_lengths_stay_within_their_ends():
    budget = Budget(("a", "b"), ((1, 2, None), (4,)), ((10, 20, 40), (30,)), limit=1000)
    fitted = BatchProjection.of(budget, ((0.5, 0.7, 1.0), (0.2,))).fit(np.array([[0, 0]]), np.zeros((1, 2), dtype=bool))
    assert fitted.tolist() == [[2, 0]]


def test_entries_of_one_price_are_told_apart_as_fitting_alone_does():
    budget = Budget(("a", "b"), ((1, 2, 3), (1, 2)), ((10, 10, 20), (10, 30)), limit=40)
    energies = ((0.1, 0.2, 0.9), (0.3, 0.8))
    for first in ([0, 0], [1, 1], [2, 1]):
        fitted = BatchProjection.of(budget, energies).fit(np.array([first]), np.zeros((1, 2), dtype=bool))
        assert tuple(fitted[0]) == fit_to_budget(first, budget, energies)


def test_the_entries_given_are_left_alone():
    toy = separable()
    budget = Budget.of(toy.problem)
    entries, pinned = random_plans(budget, 5, seed=1)
    before = entries.copy()
    BatchProjection.of(budget, toy.problem.retained_energies).fit(entries, pinned)
    assert (entries == before).all()


def test_what_rows_weigh_is_the_budgets_own_count():
    budget = Budget.of(separable().problem)
    entries, _ = random_plans(budget, 5, seed=2)
    spent = BatchProjection.of(budget, tuple((0.0,) * len(prices) for prices in budget.weights)).spent(entries)
    assert spent.tolist() == [budget.spent(row) for row in entries.tolist()]
