from itertools import product

import pytest

from envs.budget import Budget
from envs.toys.dropping_toy import IDLE, dropping
from shrinkml.errors import PlanError
from shrinkml.plan.choice import DENSE, DROPPED

TOY = dropping()
BUDGET = Budget.of(TOY.problem)


def test_the_best_plan_drops_the_idle_module_and_no_other_and_is_far_better_for_that():
    best = TOY.best_plan()
    assert [site for site, choice in best if choice.dropped] == [f"block{IDLE}"]
    ways = product(*(range(len(BUDGET.weights[module])) for module in BUDGET.children))
    keeping = [way for way in ways if way[IDLE]]
    plans = [TOY._best_with(dict(zip(BUDGET.children, way, strict=True))) for way in keeping]
    assert TOY.evaluate(best) < 0.6 * min(TOY.evaluate(plan) for plan in plans if plan is not None)


def test_what_lies_in_a_dropped_module_is_written_as_it_is_and_costs_nothing():
    entries = list(BUDGET.cheapest)
    first, inside = next(iter(BUDGET.children.items()))
    assert BUDGET.spent(entries) == len(BUDGET.children), "the least that every module costs"
    assert all(BUDGET.extra(entries, child, 1) == 0 for child in inside)
    kept = sum(BUDGET.weights[child][0] for child in inside) + BUDGET.weights[first][1] - BUDGET.weights[first][0]
    assert BUDGET.extra(entries, first, 1) == kept
    plan = BUDGET.plan(entries)
    assert dict(plan) == {BUDGET.names[module]: DROPPED for module in BUDGET.children}
    assert BUDGET.entries(plan) == BUDGET.written(entries)


def test_a_kept_module_has_its_parts_and_a_decision_in_no_module_is_refused():
    from dataclasses import replace

    plan = BUDGET.plan([len(prices) - 1 for prices in BUDGET.weights])
    assert plan.choice("block0") == DENSE
    assert TOY.problem.cost(plan).parameters == TOY.problem.prices.original
    first, *others = TOY.problem.decisions
    with pytest.raises(PlanError, match=r"layer 'block0' lies in 'block1\.layer0'; allowed: a decision that drops"):
        replace(TOY.problem, decisions=(replace(first, parent="block1.layer0"), *others))
