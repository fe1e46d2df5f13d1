"""Uniform ranks: every layer keeps the same fraction of its weights."""

from agents.search.search import Search
from agents.strategies.thresholds import raised_in_turn
from envs.budget import Budget
from envs.problem import CompressionProblem
from shrinkml.plan.compression_plan import CompressionPlan


def uniform_plan(problem: CompressionProblem) -> CompressionPlan:
    """The plan whose layers all keep the same fraction of their heaviest entry, as closely as menus and budget allow.

    The fraction is raised as long as every layer can follow; what is left then goes, lowest fraction first, to the
    layers whose next entry still fits. Modules are kept before anything is raised, if the budget allows that at all.

    Raises:
        PlanError: no plan of the menus meets the budget.
    """
    budget = Budget.of(problem)
    fractions = tuple(
        tuple(0.0 if i in budget.children else price / prices[-1] for price in prices[1:])
        for i, prices in enumerate(budget.weights)
    )
    return budget.plan(raised_in_turn(budget, fractions))


def uniform(search: Search) -> None:
    """Judge the uniform plan alone; see `agents.search.search.Strategy`."""
    if not search.recorder.finished:
        search.recorder(uniform_plan(search.problem))
