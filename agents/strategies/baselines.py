"""The plans that cost nothing to find, where every agent starts."""

from agents.strategies.greedy import greedy_plan
from agents.strategies.search import Search
from agents.strategies.uniform import uniform_plan


def judge_baselines(search: Search) -> None:
    """Has the greedy and the uniform plan judged, so that no search can end below them."""
    for plan in (greedy_plan(search.problem), uniform_plan(search.problem)):
        if not search.recorder.finished:
            search.recorder(plan)
