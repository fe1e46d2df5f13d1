from itertools import product

import pytest

from agents.strategies.baselines.greedy import greedy_plan
from envs.budget import Budget
from envs.toys.mixed_toy import mixed
from shrinkml.plan.choice import DENSE, DROPPED, Choice


@pytest.fixture(scope="module")
def toy():
    return mixed()


def decision(toy, name):
    (found,) = (it for it in toy.problem.decisions if it.name == name)
    return found


def test_its_decisions_are_of_three_ways(toy):
    assert decision(toy, "block").choices == (DROPPED, DENSE)
    assert all(choice == Choice(rank=choice.rank) for choice in decision(toy, "layer5").choices)
    of_both = decision(toy, "layer0").choices
    assert {choice.bits for choice in of_both} > {None, 8}
    assert len({choice.rank for choice in of_both}) > 2


def test_more_bytes_keep_more_energy_at_every_decision(toy):
    for energies in toy.problem.retained_energies:
        assert list(energies) == sorted(set(energies))
        assert energies[-1] == 1.0


def test_the_best_plan_mixes_the_ways_and_keeps_the_module_that_the_greedy_plan_drops(toy):
    best = toy.best_plan()
    assert best.choice("block") == DENSE
    assert greedy_plan(toy.problem).choice("block") == DROPPED
    assert any(choice.rank and choice.bits for _, choice in best)
    assert any(choice == Choice(rank=choice.rank) for _, choice in best)


def test_no_plan_within_the_budget_is_better_than_the_best(toy):
    budget = Budget.of(toy.problem)
    sums = (
        sum(row[entry] for row, entry in zip(toy.word_losses, entries, strict=True))
        for entries in product(*(range(len(prices)) for prices in budget.weights))
        if budget.spent(entries) <= budget.limit
    )
    of_best = budget.entries(toy.best_plan())
    assert min(sums) == pytest.approx(sum(row[entry] for row, entry in zip(toy.word_losses, of_best, strict=True)))
