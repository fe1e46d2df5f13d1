from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.budget import Budget
from envs.projection import fit_to_budget, lowered_to_budget
from shrinkml.errors import PlanError

SHAPES = [(16, 16), (32, 8), (24, 40), (20, 20)]
shapes = st.lists(st.tuples(st.integers(2, 64), st.integers(2, 64)), min_size=1, max_size=6)


@given(shapes, st.floats(1.01, 8.0), st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_entries_become_a_plan_inside_the_budget_that_no_single_layer_can_outgrow(
    make_problem, shapes, ratio, data
):
    problem = make_problem(shapes, compression_ratio=ratio)
    try:
        budget = Budget.of(problem)
    except PlanError:
        return  # out of reach for these layers
    entries = [data.draw(st.integers(0, len(menu) - 1)) for menu in budget.weights]
    pinned = data.draw(st.sets(st.integers(0, len(entries) - 1)))
    fitted = fit_to_budget(entries, budget, problem.retained_energies, pinned=pinned)
    left = budget.limit - budget.spent(fitted)
    assert left >= 0
    for prices, entry in zip(budget.weights, fitted, strict=True):
        assert entry == len(prices) - 1 or prices[entry + 1] - prices[entry] > left


def test_lowering_ends_inside_the_budget_and_raises_no_layer(make_problem):
    problem = make_problem(SHAPES, compression_ratio=2.5)
    budget = Budget.of(problem)
    energies = problem.retained_energies
    dense = [len(menu) - 1 for menu in budget.weights]
    for entries in (dense, (4, 0, 4, 0), budget.cheapest):
        lowered = lowered_to_budget(entries, budget, energies)
        assert budget.spent(lowered) <= budget.limit
        assert all(low <= entry for low, entry in zip(lowered, entries, strict=True))
    assert lowered == budget.cheapest


def test_pinned_layers_stay_while_others_can_pay(make_problem):
    problem = make_problem(SHAPES, compression_ratio=2.5)
    budget = Budget.of(problem)
    highest = len(budget.weights[0]) - 1
    fitted = fit_to_budget((highest, 1, 4, 4), budget, problem.retained_energies, pinned={0, 1})
    assert fitted[:2] == (highest, 1)


def test_pinned_layers_give_way_when_nothing_else_can(make_problem):
    problem = make_problem(SHAPES, compression_ratio=2.5)
    budget = Budget.of(problem)
    dense = [len(menu) - 1 for menu in budget.weights]
    fitted = fit_to_budget(dense, budget, problem.retained_energies, pinned=range(4))
    assert budget.spent(fitted) <= budget.limit


def test_from_the_cheapest_plan_energy_comes_within_a_tenth_of_the_exhaustive_best(make_problem):
    problem = make_problem(SHAPES, compression_ratio=2.5)
    budget, energies = Budget.of(problem), problem.retained_energies

    def lost(entries):
        return sum(1.0 - row[entry] for row, entry in zip(energies, entries, strict=True))

    everything = product(*(range(len(menu)) for menu in budget.weights))
    best = min(lost(entries) for entries in everything if budget.spent(entries) <= budget.limit)
    assert lost(fit_to_budget(budget.cheapest, budget, energies)) <= 1.1 * best


@pytest.mark.parametrize("pinned", [(), (1, 2)])
def test_entries_that_fit_and_fill_the_budget_are_left_alone(make_problem, pinned):
    problem = make_problem(SHAPES, compression_ratio=2.5)
    budget, energies = Budget.of(problem), problem.retained_energies
    fitted = fit_to_budget((2, 2, 2, 2), budget, energies)
    assert fit_to_budget(fitted, budget, energies, pinned=pinned) == fitted
