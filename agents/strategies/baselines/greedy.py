"""Global greedy allocation: each next weight goes where it keeps the most energy."""

from agents.search.search import Search
from envs.budget import Budget
from envs.problem import CompressionProblem
from envs.projection import fit_to_budget
from shrinkml.plan.compression_plan import CompressionPlan


def greedy_plan(problem: CompressionProblem) -> CompressionPlan:
    """The plan that starts from the lowest ranks and always buys the most energy per weight.

    Per rank that is the largest s^2 / (out + in), with energies normalised per layer so that no layer's scale counts.

    Raises:
        PlanError: no plan of the menus meets the budget.
    """
    budget = Budget.of(problem)
    return budget.plan(fit_to_budget(budget.cheapest, budget, problem.retained_energies))


def greedy(search: Search) -> None:
    """Judge the greedy plan alone; see `agents.search.search.Strategy`."""
    if not search.recorder.finished:
        search.recorder(greedy_plan(search.problem))
