"""The plans that cost nothing to find, from which searches start."""

from agents.search.search import Search
from agents.strategies.baselines.greedy import greedy_plan
from agents.strategies.baselines.least_expected import least_expected_loss
from agents.strategies.baselines.uniform import uniform_plan


def judge_baselines(search: Search) -> None:
    """Judge the greedy and the uniform plan, so that no search can end below them."""
    for plan in (greedy_plan(search.problem), uniform_plan(search.problem)):
        if not search.recorder.finished:
            search.recorder(plan)


def judge_starts(search: Search) -> None:
    """Judge the same, and before them what the problem suggests and the plan of least expected loss, where it is known.

    These are what agents start from.
    """
    for plan in search.problem.suggested:
        if not search.recorder.finished:
            search.recorder(plan)
    if search.problem.tells_losses:
        least_expected_loss(search)
    judge_baselines(search)
