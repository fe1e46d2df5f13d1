import dataclasses
from itertools import product

import pytest

from agents.strategies.least_loss import MAX_CELLS, least_loss
from envs.budget import Budget
from envs.toys import dropping, mixed, recogniser, separable


@pytest.mark.parametrize("seed", range(4))
def test_dynamic_programming_finds_what_exhaustive_search_finds(seed):
    toy = separable(seed)
    budget = Budget.of(toy.problem)

    def total(entries):
        return sum(row[entry] for row, entry in zip(toy.word_losses, entries, strict=True))

    entries = least_loss(budget, toy.word_losses)
    everything = product(*(range(len(menu)) for menu in budget.weights))
    assert budget.spent(entries) <= budget.limit
    assert total(entries) == pytest.approx(min(total(e) for e in everything if budget.spent(e) <= budget.limit))


def test_prices_rounded_up_stay_within_the_budget_and_cost_little():
    toy = recogniser()
    exact = Budget.of(toy.problem)
    odd = tuple(tuple(1009 * price + 17 * i for i, price in enumerate(prices)) for prices in exact.weights)
    coarse = dataclasses.replace(exact, weights=odd, limit=1009 * exact.limit)
    assert coarse.limit - coarse.spent(coarse.cheapest) > MAX_CELLS
    entries = least_loss(coarse, toy.word_losses)

    def total(entries):
        return sum(row[entry] for row, entry in zip(toy.word_losses, entries, strict=True))

    assert coarse.spent(entries) <= coarse.limit
    assert total(entries) <= 1.02 * total(least_loss(exact, toy.word_losses))


def test_modules_are_dropped_where_that_loses_less_than_what_else_their_price_buys():
    toy = dropping()
    for ratio in (2.5, 4.0, 5.0, 8.0):
        at_ratio = dataclasses.replace(toy, problem=dataclasses.replace(toy.problem, compression_ratio=ratio))
        budget = Budget.of(at_ratio.problem)
        assert at_ratio.evaluate(budget.plan(least_loss(budget, toy.word_losses))) == pytest.approx(
            at_ratio.evaluate(at_ratio.best_plan())
        )


def test_of_decisions_of_several_ways_it_finds_the_best_plan_too():
    toy = mixed()
    budget = Budget.of(toy.problem)
    assert budget.plan(least_loss(budget, toy.word_losses)) == toy.best_plan()
