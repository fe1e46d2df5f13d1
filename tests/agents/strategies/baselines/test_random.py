import numpy as np
import pytest

from agents.strategies.baselines.greedy import greedy_plan
from agents.strategies.baselines.random import random_entries
from envs.budget import Budget
from envs.toys import TOYS, separable
from tests.agents.toy_search import search


@pytest.mark.parametrize("name", TOYS)
def test_random_entries_use_the_budget_so_that_no_layer_could_be_raised_alone(name):
    budget, rng = Budget.of(TOYS[name]().problem), np.random.default_rng(0)
    for _ in range(30):
        entries = random_entries(budget, rng)
        left = budget.limit - budget.spent(entries)
        assert left >= 0
        raises = [
            budget.extra(entries, layer, above)
            for layer, prices in enumerate(budget.weights)
            for above in range(entries[layer] + 1, len(prices))
        ]
        assert min(raises) > left


def test_every_affordable_entry_of_every_layer_is_drawn():
    budget, rng = Budget.of(separable().problem), np.random.default_rng(0)
    drawn = [random_entries(budget, rng) for _ in range(600)]
    for layer, found in enumerate(zip(*drawn, strict=True)):
        assert sorted(set(found)) == budget.affordable(layer, budget.cheapest, ())


def test_it_starts_from_no_plan_that_knows_the_spectra():
    toy = separable()
    assert search("random", toy, evaluations=1).trials[0].plan != greedy_plan(toy.problem)
