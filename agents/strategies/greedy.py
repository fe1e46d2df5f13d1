"""Global greedy allocation: each next weight goes where it keeps the most energy."""

from agents.strategies.recorder import Recorder
from agents.strategy import OnTrial, SearchResult
from envs.budget import Budget
from envs.energy import retained_energies
from envs.problem import PlanEvaluator, RankProblem
from envs.projection import fit_to_budget
from shrinkml.compression.plan import RankPlan
from shrinkml.events import ShouldStop


def greedy_plan(problem: RankProblem) -> RankPlan:
    """The plan that starts from the lowest ranks and always buys the most energy per weight.

    Per rank that is the largest s^2 / (out + in), with energies normalised per layer so that no layer's scale counts.

    Raises:
        PlanError: no plan of the menus meets the budget.
    """
    budget = Budget.of(problem)
    return budget.plan(fit_to_budget(budget.cheapest, budget, retained_energies(problem, budget)))


def greedy(
    problem: RankProblem,
    evaluate: PlanEvaluator,
    *,
    reward: str,
    evaluations: int,
    seed: int,
    on_trial: OnTrial,
    should_stop: ShouldStop,
) -> SearchResult:
    """Judges the greedy plan alone; see `agents.strategy.Strategy`."""
    plan = greedy_plan(problem)
    recorder = Recorder(problem, evaluate, evaluations=evaluations, on_trial=on_trial, should_stop=should_stop)
    if not recorder.finished:
        recorder(plan)
    return recorder.result("greedy", seed)
