"""One search task, carried out: the same function in this process and in a Ray worker."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from agents.execution.executor import SearchTask
from agents.search.opened_workspace import Workspace, open_workspace
from agents.search.search_plans import search_plans
from agents.search.search_result import OnTrial, SearchResult, Trial
from agents.search.workspace import read_problem
from shrinkml.events import ShouldStop


def run_search(task: SearchTask, *, on_trial: OnTrial, should_stop: ShouldStop) -> SearchResult:
    """Search the workspace in the folder that `task` names; see `search_in`."""
    return search_in(
        open_workspace(Path(task.workspace), should_stop), task, on_trial=on_trial, should_stop=should_stop
    )


def search_in(workspace: Workspace, task: SearchTask, *, on_trial: OnTrial, should_stop: ShouldStop) -> SearchResult:
    """Search `workspace` by the task's strategy, and return what that finds.

    Runs on one thread, wherever it runs, so that the same task gives the same result, and several of them on one
    machine do not hinder each other.

    Raises:
        UnknownNameError: no such strategy or reward.
        PlanError: the budget is out of reach.
        StoppedError: stopped before the first plan was judged.
    """
    with one_thread():
        return search_plans(
            task.strategy,
            workspace.problem,
            workspace.evaluate,
            reward=task.reward,
            evaluations=task.evaluations,
            seed=task.seed,
            policy=task.policy,
            on_trial=on_trial,
            should_stop=should_stop,
        )


def interrupted_result(task: SearchTask, trials: Sequence[Trial]) -> SearchResult | None:
    """The result of a search that was ended from outside: its best trial within the budget, if there was one."""
    problem = read_problem(Path(task.workspace))
    inside = [trial for trial in trials if problem.admits(trial.plan)]
    if not inside:
        return None
    best = min(inside, key=lambda trial: (trial.wer, trial.parameters))
    return SearchResult(task.strategy, task.seed, best, tuple(trials))


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread; on as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
