import dataclasses
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs import problem_json
from envs.batch_projection import BatchProjection
from envs.budget import Budget
from envs.projection import fit_to_budget
from shrinkml.errors import PlanError
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import GroupTerm, mac_prices
from tests.envs.wired import COST, wired_problem

SHAPES = [(16, 16), (32, 8), (24, 40)]
shapes = st.lists(st.tuples(st.integers(2, 64), st.integers(2, 64)), min_size=1, max_size=6)


def with_calls(layer):
    """A layer that is called the oftener the smaller it is."""
    return dataclasses.replace(layer, calls_per_s=1000.0 / layer.parameters)


def macs(cost):
    return mac_prices(ModelCost(tuple(map(with_calls, cost.layers)), cost.other))


def test_entries_and_plan_are_two_names_of_the_same_choice(make_problem):
    budget = Budget.of(make_problem(SHAPES))
    entries = tuple(len(menu) - 1 - i % 2 for i, menu in enumerate(budget.weights))
    assert budget.entries(budget.plan(entries)) == entries


def test_spent_weights_and_other_parameters_are_the_cost_of_the_plan(make_problem):
    problem = make_problem(SHAPES)
    budget = Budget.of(problem)
    entries = (0, 1, 2)
    assert budget.spent(entries) + problem.other.parameters == problem.cost(budget.plan(entries)).parameters


@given(shapes, st.floats(1.01, 8.0), st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_choosing_only_affordable_entries_in_any_order_never_leaves_the_budget(make_problem, shapes, ratio, data):
    try:
        budget = Budget.of(make_problem(shapes, compression_ratio=ratio))
    except PlanError:
        return  # out of reach for these layers
    entries, settled = list(budget.cheapest), set()
    for layer in data.draw(st.permutations(range(len(entries)))):
        entries[layer] = data.draw(st.sampled_from(budget.affordable(layer, entries, settled)))
        settled.add(layer)
    assert budget.spent(entries) <= budget.limit


def test_the_first_entry_that_is_not_affordable_would_break_the_budget(make_problem):
    budget = Budget.of(make_problem(SHAPES, compression_ratio=3.0))
    n_affordable = len(budget.affordable(2, budget.cheapest, set()))
    assert budget.affordable(2, budget.cheapest, set()) == list(range(n_affordable))
    assert n_affordable < len(budget.weights[2])
    assert budget.spent((0, 0, n_affordable - 1)) <= budget.limit < budget.spent((0, 0, n_affordable))


def test_an_unreachable_budget_is_refused_with_the_smallest_reachable_size(make_problem):
    problem = make_problem(SHAPES, compression_ratio=100.0)
    cheapest = CompressionPlan({decision.name: decision.choices[0] for decision in problem.decisions})
    smallest = problem.cost(cheapest).parameters
    ratio = problem.cost(CompressionPlan()).parameters / smallest
    with pytest.raises(PlanError, match=rf"no plan is 100x smaller.*has {smallest} parameters \({ratio:.2f}x\)"):
        Budget.of(problem)


def test_a_rank_that_is_not_on_the_menu_is_refused(make_problem):
    budget = Budget.of(make_problem(SHAPES))
    with pytest.raises(PlanError, match="rank 9 of layer 'layer0' is not on its menu"):
        budget.entries(CompressionPlan.of_ranks({"layer0": 9}))


def test_a_budget_of_macs_is_spent_by_calls(make_problem):
    problem = make_problem(SHAPES, prices=macs)
    budget = Budget.of(problem)
    plan = budget.plan(fit_to_budget(budget.cheapest, budget, problem.retained_energies))
    assert problem.prices.price(plan) == budget.spent(budget.entries(plan)) <= problem.limit
    layers = [LayerSpec(decision.name, "linear", *decision.shape) for decision in problem.decisions]
    called = ModelCost(tuple(map(with_calls, layers)), other=Cost(0, 0))
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


def with_terms(problem, draw):
    """`problem`, with a few terms for groups of its decisions; the cheapest plan is still within the budget."""

    def term(sites):
        choices = {}
        for decision in sites:
            drawn = draw(st.lists(st.sampled_from(decision.choices), min_size=1, unique=True))
            choices[decision.name] = tuple(drawn)
        return GroupTerm(choices, draw(st.integers(-300, 300)))

    groups = st.lists(st.sampled_from(problem.decisions), min_size=1, max_size=3, unique_by=lambda it: it.name)
    terms = tuple(term(draw(groups)) for _ in range(draw(st.integers(1, 3))))
    return dataclasses.replace(problem, prices=dataclasses.replace(problem.prices, terms=terms))


def priced(problem, budget, entries):
    """What the whole model costs at `entries`, by the price list."""
    return problem.prices.price(budget.plan(entries))


@given(shapes, st.floats(1.01, 8.0), st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_with_terms_for_groups_no_plan_is_over_the_limit_either(make_problem, shapes, ratio, data):
    problem = with_terms(make_problem(shapes, compression_ratio=ratio), data.draw)
    try:
        budget = Budget.of(problem)
    except PlanError:
        return  # out of reach for these layers
    n, energies = len(budget.names), problem.retained_energies
    any_entries = [data.draw(st.integers(0, len(prices) - 1)) for prices in budget.weights]
    assert priced(problem, budget, any_entries) == problem.prices.other + budget.spent(any_entries)

    chosen, settled = list(budget.cheapest), set()
    for layer in data.draw(st.permutations(range(n))):
        chosen[layer] = data.draw(st.sampled_from(budget.affordable(layer, chosen, settled)))
        settled.add(layer)
    pinned = data.draw(st.sets(st.integers(0, n - 1)))
    fitted = fit_to_budget(any_entries, budget, energies, pinned=pinned)
    for entries in (chosen, fitted):
        assert priced(problem, budget, entries) <= problem.limit
    for layer, entry in enumerate(fitted):
        raised = [[*fitted[:layer], more, *fitted[layer + 1 :]] for more in range(entry + 1, len(energies[layer]))]
        assert all(priced(problem, budget, entries) > problem.limit for entries in raised)
    batch = BatchProjection.of(budget, energies)
    together = batch.fit(np.array([any_entries]), np.isin(np.arange(n), list(pinned))[None])
    assert tuple(together[0]) == fitted
    assert batch.spent(together).tolist() == [budget.spent(fitted)]


def test_a_term_for_a_site_that_is_not_decided_is_refused(make_problem):
    problem = make_problem(SHAPES)
    prices = dataclasses.replace(problem.prices, terms=(GroupTerm({"elsewhere": ()}, 1),))
    with pytest.raises(PlanError, match="the prices have a term for 'elsewhere'; allowed: layer0, layer1, layer2"):
        Budget.of(dataclasses.replace(problem, prices=prices))


class TestColumnsThatUnitsOfOthersFeed:
    @pytest.mark.parametrize("resource", ["parameters", "bytes", "macs"])
    def test_what_is_spent_is_the_price_of_the_plan_or_in_bytes_more(self, resource):
        problem = wired_problem(resource)
        budget, rng = Budget.of(problem), np.random.default_rng(0)
        rows = np.column_stack([rng.integers(len(prices), size=60) for prices in budget.weights])
        found = BatchProjection.of(budget, problem.retained_energies).spent(rows)
        for row, spent in zip(rows.tolist(), found.tolist(), strict=True):
            plan = budget.plan(row)
            assert budget.entries(plan) == tuple(row)
            assert spent == budget.spent(row)
            beyond = budget.spent(row) + problem.prices.other - problem.prices.price(plan)
            if resource == "parameters":
                assert beyond == 0
                assert problem.cost(plan) == COST.cost(plan)
            else:
                assert -5 <= beyond <= 0.4 * problem.prices.price(plan)  # of matrices as small as these

    def test_fitting_keeps_to_the_budget_one_by_one_and_at_once(self):
        problem = wired_problem(ratio=4.0)
        budget, rng = Budget.of(problem), np.random.default_rng(1)
        rows = np.column_stack([rng.integers(len(prices), size=20) for prices in budget.weights])
        fitted = [fit_to_budget(row, budget, problem.retained_energies) for row in rows.tolist()]
        at_once = BatchProjection.of(budget, problem.retained_energies).fit(rows, np.zeros(rows.shape, dtype=bool))
        assert all(problem.admits(budget.plan(row)) for row in fitted)
        assert at_once.tolist() == [list(row) for row in fitted]

    def test_the_problem_survives_json(self):
        problem = wired_problem("bytes")
        back = problem_json.from_json(json.loads(json.dumps(problem_json.to_json(problem))))
        assert back == problem
        assert back.wiring == problem.wiring
