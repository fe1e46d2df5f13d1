"""Global greedy allocation: each next weight goes where it keeps the most energy."""

from agents.search.search import Search
from envs.budget import Budget
from envs.problem import RankProblem
from envs.projection import fit_to_budget
from envs.retained_energy import retained_energies
from shrinkml.plan.compression_plan import CompressionPlan


def greedy_plan(problem: RankProblem) -> CompressionPlan:
    """The plan that starts from the lowest ranks and always buys the most energy per weight.

    Per rank that is the largest s^2 / (out + in), with energies normalised per layer so that no layer's scale counts.

    Raises:
        PlanError: no plan of the menus meets the budget.
    """
    budget = Budget.of(problem)
    return budget.plan(fit_to_budget(budget.cheapest, budget, retained_energies(problem, budget)))


def greedy(search: Search) -> None:
    """Judges the greedy plan alone; see `agents.search.search.Strategy`."""
    if not search.recorder.finished:
        search.recorder(greedy_plan(search.problem))
