from itertools import product

import pytest

from envs.budget import Budget
from envs.toys import separable
from tests.agents.toy_search import search

ENOUGH = 33  # the cheap plans, each of five entries of six layers alone, and the plan itself


@pytest.mark.parametrize("seed", [5, 6])
def test_measured_one_by_one_it_ends_at_the_best_plan_of_an_exhaustive_search(seed):
    toy = separable(seed)
    budget = Budget.of(toy.problem)

    def loss(entries):
        return sum(row[entry] for row, entry in zip(toy.word_losses, entries, strict=True))

    affordable = (e for e in product(*map(range, map(len, budget.weights))) if budget.spent(e) <= budget.limit)
    best = min(affordable, key=loss)
    result = search("knapsack", toy, evaluations=ENOUGH)
    assert budget.entries(result.best.plan) == best
    assert result.trials[-1] == result.best


def test_the_last_evaluation_is_left_for_the_plan_however_few_there_are():
    toy = separable()
    result = search("knapsack", toy, evaluations=7)
    dense = [len(prices) - 1 for prices in Budget.of(toy.problem).weights]
    changed = [
        sum(a != b for a, b in zip(Budget.of(toy.problem).entries(trial.plan), dense, strict=True))
        for trial in result.trials
    ]
    assert changed[2:6] == [1] * 4, "of these, one layer alone is compressed"
    assert toy.problem.admits(result.trials[6].plan)
