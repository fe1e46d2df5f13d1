from dataclasses import replace

import pytest

from envs.budget import Budget
from envs.toys import mixed, separable, telling
from shrinkml.errors import PlanError
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost


def plan_of(problem, entries):
    return Budget.of(problem).plan(entries)


def test_the_cost_of_a_plan_is_that_of_its_options_and_of_everything_else():
    problem = separable().problem
    entries = (0, 1, 2, 3, 0, 1)
    options = [decision.options[entry].cost for decision, entry in zip(problem.decisions, entries, strict=True)]
    assert problem.cost(plan_of(problem, entries)) == sum(options, problem.other)


def test_parameters_bytes_and_price_of_a_plan_of_bits_are_counted_each_for_itself():
    toy = mixed()
    cost = toy.problem.cost(toy.best_plan())
    assert cost.bytes == toy.problem.prices.price(toy.best_plan()) <= toy.problem.limit
    dense = toy.problem.cost(CompressionPlan())
    assert dense.bytes / cost.bytes > 1.4 * dense.parameters / cost.parameters


def test_the_expected_loss_of_a_plan_is_the_sum_of_its_choices():
    problem = telling(separable(), 8.0).problem
    entries = (1, 0, 2, 5, 5, 5)
    expected = sum(row[entry] for row, entry in zip(separable().word_losses, entries, strict=True)) / 8.0
    assert problem.expected_loss(plan_of(problem, entries)) == pytest.approx(expected)
    assert problem.per_utterance(expected) == pytest.approx(8.0 * expected)


def test_where_no_loss_is_known_the_lost_energy_stands_for_it_and_adds_nothing_to_a_plan():
    problem = separable().problem
    assert not problem.tells_losses
    for losses, kept in zip(problem.losses_or_lost_energies, problem.retained_energies, strict=True):
        assert losses == pytest.approx([1.0 - share for share in kept])
    with pytest.raises(PlanError, match="expected losses of the options are not known"):
        problem.expected_losses  # noqa: B018
    told = telling(separable()).problem
    assert told.losses_or_lost_energies == told.expected_losses
    assert problem.expected_loss(plan_of(problem, (0,) * 6)) == 0.0


def test_a_choice_that_is_no_option_has_no_cost():
    with pytest.raises(PlanError, match="rank 7 of layer 'layer0' is not on its menu"):
        separable().problem.cost(CompressionPlan.of_ranks({"layer0": 7}))


def test_losses_of_some_decisions_alone_are_refused():
    told, silent = telling(separable()).problem, separable().problem
    with pytest.raises(PlanError, match="layers 'layer1', 'layer4' have no expected loss, and others have"):
        replace(told, decisions=tuple((silent if i in (1, 4) else told).decisions[i] for i in range(6)))


def test_a_problem_without_decisions_is_refused():
    with pytest.raises(PlanError, match="the problem has no decision; allowed: one at least"):
        replace(separable().problem, decisions=())


def test_a_plan_is_admitted_up_to_the_limit():
    problem = separable().problem
    budget = Budget.of(problem)
    assert problem.admits(budget.plan(budget.cheapest))
    assert not problem.admits(CompressionPlan())
    exact = replace(problem, compression_ratio=1.0)
    assert exact.admits(CompressionPlan())
    assert exact.cost(CompressionPlan()).parameters == exact.limit
    assert exact.other == Cost(368, 4 * 368)


def test_a_choice_that_is_no_option_is_expected_to_lose_as_much_as_the_worst():
    problem = telling(separable()).problem
    (worst, *_) = problem.expected_losses[0]
    assert problem.expected_loss(CompressionPlan.of_ranks({"layer0": 7})) == worst
