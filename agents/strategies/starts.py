"""The plans that cost nothing to find, where searches start."""

from agents.search.search import Search
from agents.strategies.baselines.divergence import divergence
from agents.strategies.baselines.greedy import greedy_plan
from agents.strategies.baselines.uniform import uniform_plan


def judge_baselines(search: Search) -> None:
    """Has the greedy and the uniform plan judged, so that no search can end below them."""
    for plan in (greedy_plan(search.problem), uniform_plan(search.problem)):
        if not search.recorder.finished:
            search.recorder(plan)


def judge_starts(search: Search) -> None:
    """The same, and before them the plan of `divergence`, where it is known: what agents start from."""
    if search.problem.divergences:
        divergence(search)
    judge_baselines(search)
