"""What tests of executors share: running tasks, and hearing their trials."""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from agents.execution.executor import Executor, OnTaskTrial, SearchTask
from agents.search.search_result import SearchResult, Trial
from agents.search.search_task import run_search
from server.worker.processes import descendants

ENDLESS = 100_000  # evaluations: more than a test waits for


class Reports:
    """Hears of trials; what it heard, by task."""

    def __init__(self) -> None:
        self.trials: dict[SearchTask, list[tuple[Trial, int]]] = defaultdict(list)

    def __call__(self, task: SearchTask, trial: Trial, n_done: int) -> None:
        self.trials[task].append((trial, n_done))

    @property
    def n(self) -> int:
        return sum(map(len, self.trials.values()))


def run(
    executor: Executor,
    tasks: Sequence[SearchTask],
    reports: OnTaskTrial | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[SearchResult]:
    return executor.run(tasks, on_trial=reports or Reports(), should_stop=should_stop)


def here(task: SearchTask) -> SearchResult:
    """The result of `task`, searched in this process without an executor."""
    return run_search(task, on_trial=lambda *_: None, should_stop=lambda: False)


def ray_workers() -> list[int]:
    """Ids of the processes in which Ray runs trials, below this one."""
    of_this = descendants(os.getpid())
    return [pid for pid in of_this if b"ImplicitFunc" in Path(f"/proc/{pid}/cmdline").read_bytes()]
