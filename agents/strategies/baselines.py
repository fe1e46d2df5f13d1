"""The plans that cost nothing to find, where every agent starts."""

from agents.strategies.greedy import greedy_plan
from agents.strategies.recorder import Recorder
from agents.strategies.uniform import uniform_plan
from envs.problem import RankProblem


def judge_baselines(recorder: Recorder, problem: RankProblem) -> None:
    """Has the greedy and the uniform plan judged, so that no search can end below them.

    Raises:
        PlanError: no plan of the menus meets the budget.
    """
    for plan in (greedy_plan(problem), uniform_plan(problem)):
        if not recorder.finished:
            recorder(plan)
