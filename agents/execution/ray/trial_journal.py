"""The reports of searches, each once and in order, however often their workers died."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agents.execution.executor import OnTaskTrial, SearchTask
from agents.search.search_result import SearchResult, Trial
from agents.search.search_task import interrupted_result
from shrinkml.errors import StageError

RESTARTS = 2  # of a task whose worker process died; what it had judged comes from the evaluation store


class TrialJournal:
    """The reports of all tasks of a run."""

    def __init__(self, tasks: Sequence[SearchTask], on_trial: OnTaskTrial) -> None:
        """An empty journal of `tasks`; `on_trial` is called with every trial that is new."""
        self._tasks = tasks
        self._on_trial = on_trial
        self._trials: list[list[Trial]] = [[] for _ in tasks]
        self._results: dict[int, SearchResult] = {}
        self._errors: dict[int, str] = {}
        self._listener_error: Exception | None = None

    @property
    def failed(self) -> bool:
        """True where a task gave up."""
        return bool(self._errors)

    def note(self, index: int, report: Mapping[str, Any]) -> None:
        """Take in a report of the task at `index`; a restarted task's repetitions are passed over."""
        if "trial" in report and report["n_done"] > len(self._trials[index]):
            trial = Trial.from_json(json.loads(report["trial"]))
            self._trials[index].append(trial)
            self._tell(index, trial, report["n_done"])
        elif "result" in report:
            self._results[index] = SearchResult.from_json(json.loads(report["result"]))
        elif "error" in report:
            self._errors[index] = report["error"]

    def raise_listener_error(self) -> None:
        """Raise what `on_trial` raised, if it did: a fault of the listener, not of Ray."""
        if self._listener_error is not None:
            raise self._listener_error

    def name(self, index: int) -> str:
        """The task at `index`, in words."""
        return f"search {self._tasks[index].strategy} with seed {self._tasks[index].seed}"

    def refuse_failures(self, died: Sequence[BaseException]) -> None:
        """Raise StageError for the first task that has no result."""
        lost = [index for index in range(len(self._tasks)) if index not in self._results]
        for index in sorted(lost, key=lambda index: index not in self._errors):
            why = self._errors.get(index) or f"its worker died {RESTARTS + 1} times ({'; '.join(map(str, died))})"
            raise StageError(f"{self.name(index)} failed: {why}")

    def results(self) -> list[SearchResult]:
        """The results in the order of the tasks; for a task that was ended early, the best of what it reported."""
        found = [
            self._results.get(index) or interrupted_result(task, self._trials[index])
            for index, task in enumerate(self._tasks)
        ]
        return [result for result in found if result is not None]

    def _tell(self, index: int, trial: Trial, n_done: int) -> None:
        try:
            self._on_trial(self._tasks[index], trial, n_done)
        except Exception as error:
            self._listener_error = error
            raise
