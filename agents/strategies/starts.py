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
    """Judge the same, and before them the plan of least expected loss, where it is known: what agents start from."""
    if search.problem.tells_losses:
        least_expected_loss(search)
    judge_baselines(search)
