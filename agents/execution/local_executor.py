"""Searches in this process, one after another: no Ray, no other process."""

from collections.abc import Sequence

from agents.execution.executor import OnTaskTrial, SearchTask
from agents.search.search_result import SearchResult, Trial
from agents.search.search_task import run_search
from shrinkml.errors import StageError, StoppedError
from shrinkml.events import ShouldStop


class LocalExecutor:
    """Runs searches in turn; implements `agents.execution.executor.Executor`."""

    def run(self, tasks: Sequence[SearchTask], *, on_trial: OnTaskTrial, should_stop: ShouldStop) -> list[SearchResult]:
        """One result per task, in the order of `tasks`; see `Executor.run`."""
        results = []
        for task in tasks:
            if should_stop():
                break
            result = _run(task, on_trial, should_stop)
            if result is not None:
                results.append(result)
        return results

    def close(self) -> None:
        """Nothing to end."""


def _run(task: SearchTask, on_trial: OnTaskTrial, should_stop: ShouldStop) -> SearchResult | None:
    def report(trial: Trial, n_done: int) -> None:
        on_trial(task, trial, n_done)

    try:
        return run_search(task, on_trial=report, should_stop=should_stop)
    except StoppedError:
        return None
    except Exception as error:
        raise StageError(f"search {task.strategy} with seed {task.seed} failed: {error}") from error
