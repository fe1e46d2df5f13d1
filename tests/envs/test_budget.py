import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.budget import Budget
from envs.projection import fit_to_budget
from envs.retained_energy import retained_energies
from shrinkml.errors import PlanError
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import mac_prices

SHAPES = [(16, 16), (32, 8), (24, 40)]
shapes = st.lists(st.tuples(st.integers(2, 64), st.integers(2, 64)), min_size=1, max_size=6)


def with_calls(layer):
    """A layer that is called the oftener the smaller it is."""
    return dataclasses.replace(layer, calls_per_s=1000.0 / layer.parameters)


def macs(cost):
    return mac_prices(ModelCost(tuple(map(with_calls, cost.layers)), cost.other))


def test_entries_and_plan_are_two_names_of_the_same_choice(make_problem):
    budget = Budget.of(make_problem(SHAPES))
    entries = tuple(len(menu) - 1 - i % 2 for i, menu in enumerate(budget.menus))
    assert budget.entries(budget.plan(entries)) == entries


def test_spent_weights_and_other_parameters_are_the_cost_of_the_plan(make_problem):
    problem = make_problem(SHAPES)
    budget = Budget.of(problem)
    entries = (0, 1, 2)
    assert budget.spent(entries) + problem.cost.other.parameters == problem.cost.parameters(budget.plan(entries))


@given(shapes, st.floats(1.01, 8.0), st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_choosing_only_affordable_entries_in_any_order_never_leaves_the_budget(make_problem, shapes, ratio, data):
    try:
        budget = Budget.of(make_problem(shapes, compression_ratio=ratio))
    except PlanError:
        return  # out of reach for these layers
    entries, settled = list(budget.cheapest), set()
    for layer in data.draw(st.permutations(range(len(entries)))):
        n_affordable = budget.n_affordable(layer, entries, settled)
        entries[layer] = data.draw(st.integers(0, n_affordable - 1))
        settled.add(layer)
    assert budget.spent(entries) <= budget.limit


def test_the_first_entry_that_is_not_affordable_would_break_the_budget(make_problem):
    budget = Budget.of(make_problem(SHAPES, compression_ratio=3.0))
    n_affordable = budget.n_affordable(2, budget.cheapest, set())
    assert n_affordable < len(budget.menus[2])
    assert budget.spent((0, 0, n_affordable - 1)) <= budget.limit < budget.spent((0, 0, n_affordable))


def test_an_unreachable_budget_is_refused_with_the_smallest_reachable_size(make_problem):
    problem = make_problem(SHAPES, compression_ratio=100.0)
    cheapest = CompressionPlan.of_ranks({name: menu[0] for name, menu in problem.menus.items()})
    smallest = problem.cost.parameters(cheapest)
    ratio = problem.cost.compression_ratio(cheapest)
    with pytest.raises(PlanError, match=rf"no plan is 100x smaller.*has {smallest} parameters \({ratio:.2f}x\)"):
        Budget.of(problem)


def test_a_rank_that_is_not_on_the_menu_is_refused(make_problem):
    budget = Budget.of(make_problem(SHAPES))
    with pytest.raises(PlanError, match="rank 9 of layer 'layer0' is not on its menu"):
        budget.entries(CompressionPlan.of_ranks({"layer0": 9}))


def test_a_budget_of_macs_is_spent_by_calls(make_problem):
    problem = make_problem(SHAPES, prices=macs)
    budget = Budget.of(problem)
    plan = budget.plan(fit_to_budget(budget.cheapest, budget, retained_energies(problem, budget)))
    assert problem.prices.price(plan) == budget.spent(budget.entries(plan)) <= problem.limit
    called = ModelCost(tuple(map(with_calls, problem.cost.layers)), other=Cost(0, 0))
    assert called.macs_per_s(CompressionPlan()) / called.macs_per_s(plan) >= 1.99  # prices are whole numbers


def test_an_unreachable_budget_speaks_of_what_is_saved(make_problem):
    with pytest.raises(PlanError, match=r"no plan is 100x cheaper \(\d+ MACs per second of audio\)"):
        Budget.of(make_problem(SHAPES, compression_ratio=100.0, prices=macs))


@pytest.mark.parametrize(
    ("menu", "message"),
    [((), "layer 'layer0' has no menu"), ((4, 2, None), "must ascend"), ((2, 15, None), "must ascend")],
)
def test_a_menu_that_is_empty_or_does_not_ascend_is_refused(make_problem, menu, message):
    with pytest.raises(PlanError, match=message):
        Budget.of(make_problem([(16, 16)], menus={"layer0": menu}))
