import numpy as np
import pytest

from agents.strategies.baselines.greedy import greedy_plan
from agents.strategies.baselines.random import random_entries
from agents.strategies.baselines.uniform import uniform_plan
from envs.budget import Budget
from envs.toys import TOYS, recogniser


def random_plan(problem):
    budget = Budget.of(problem)
    return budget.plan(random_entries(budget, np.random.default_rng(0)))


@pytest.mark.parametrize("make_plan", [greedy_plan, uniform_plan, random_plan])
@pytest.mark.parametrize("name", TOYS)
def test_plans_that_cost_nothing_use_the_budget_until_nothing_fits(name, make_plan):
    problem = TOYS[name]().problem
    budget = Budget.of(problem)
    entries = budget.entries(make_plan(problem))
    left = budget.limit - budget.spent(entries)
    assert left >= 0
    for prices, entry in zip(budget.weights, entries, strict=True):
        assert entry == len(prices) - 1 or prices[entry + 1] - prices[entry] > left


@pytest.mark.parametrize("compression_ratio", [2.0, 5.0, 10.0])
def test_uniform_layers_keep_the_same_fraction_to_within_two_menu_steps(compression_ratio):
    problem = recogniser(compression_ratio).problem
    budget = Budget.of(problem)
    entries = budget.entries(uniform_plan(problem))
    fractions = [prices[entry] / prices[-1] for prices, entry in zip(budget.weights, entries, strict=True)]
    assert max(fractions) / min(fractions) < 1.5**3  # neighbours differ by 1.45, and small layers' ranks are coarse
