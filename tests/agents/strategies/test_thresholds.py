from itertools import accumulate

import numpy as np
import pytest

from agents.strategies.thresholds import fit_threshold, raised_in_turn
from envs.budget import Budget
from envs.toys import TOYS


def at_threshold(quality, threshold):
    """The first entry of each layer that reaches `threshold`; the last where none does."""
    return [next((i for i, q in enumerate(row) if q >= threshold), len(row) - 1) for row in quality]


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("seed", range(5))
def test_the_entries_are_those_of_the_highest_affordable_threshold_or_above(name, seed):
    budget = Budget.of(TOYS[name]().problem)
    rng = np.random.default_rng(seed)
    quality = [np.sort(rng.random(len(prices))).tolist() for prices in budget.weights]
    entries = fit_threshold(budget, quality)
    thresholds = sorted({q for row in quality for q in row})
    affordable = [t for t in thresholds if budget.spent(at_threshold(quality, t)) <= budget.limit]  # the oracle
    below = at_threshold(quality, affordable[-1])
    assert all(entry >= least for entry, least in zip(entries, below, strict=True))
    assert budget.spent(entries) <= budget.limit


def test_an_entry_counts_as_at_least_as_good_as_those_below_it():
    budget = Budget.of(TOYS["separable"]().problem)
    rng = np.random.default_rng(0)
    wavering = [rng.random(len(prices)).tolist() for prices in budget.weights]
    assert fit_threshold(budget, wavering) == fit_threshold(budget, [list(accumulate(row, max)) for row in wavering])


def test_the_lowest_key_is_raised_first_and_a_layer_stays_where_its_raise_does_not_fit():
    budget = Budget(("a", "b"), ((1, 2, None), (1, None)), ((10, 20, 30), (10, 40)), limit=50)
    assert raised_in_turn(budget, [[0.1, 0.3], [0.2]]) == (2, 0)  # b's raise at 0.2 would cost 30 where 20 are left
    assert raised_in_turn(budget, [[0.2, 0.3], [0.1]]) == (0, 1)
