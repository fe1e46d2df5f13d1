"""Uniform ranks: every layer keeps the same fraction of its weights."""

from agents.strategies.recorder import Recorder
from agents.strategy import OnTrial, SearchResult
from envs.budget import Budget
from envs.problem import PlanEvaluator, RankProblem
from shrinkml.compression.plan import RankPlan
from shrinkml.events import ShouldStop


def uniform_plan(problem: RankProblem) -> RankPlan:
    """The plan whose layers all keep the same fraction of their heaviest entry, as closely as menus and budget allow.

    The fraction is raised as long as every layer can follow; what is left then goes, lowest fraction first, to the
    layers whose next entry still fits.

    Raises:
        PlanError: no plan of the menus meets the budget.
    """
    budget = Budget.of(problem)
    entries = list(budget.cheapest)
    raises = sorted(
        (prices[entry] / prices[-1], layer, entry)
        for layer, prices in enumerate(budget.weights)
        for entry in range(1, len(prices))
    )
    for _, layer, entry in raises:
        raised = [*entries[:layer], entry, *entries[layer + 1 :]]
        if entries[layer] == entry - 1 and budget.spent(raised) <= budget.limit:
            entries = raised
    return budget.plan(entries)


def uniform(
    problem: RankProblem,
    evaluate: PlanEvaluator,
    *,
    reward: str,
    evaluations: int,
    seed: int,
    on_trial: OnTrial,
    should_stop: ShouldStop,
) -> SearchResult:
    """Judges the uniform plan alone; see `agents.strategy.Strategy`."""
    plan = uniform_plan(problem)
    recorder = Recorder(problem, evaluate, evaluations=evaluations, on_trial=on_trial, should_stop=should_stop)
    if not recorder.finished:
        recorder(plan)
    return recorder.result("uniform", seed)
