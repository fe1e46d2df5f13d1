"""The border between the pipeline and the places that searches run in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agents.search.search_result import Policy, SearchResult, Trial
from shrinkml.events import ShouldStop


@dataclass(frozen=True, slots=True)
class SearchTask:
    """One search to run; picklable.

    Attributes:
        strategy: name in `agents.strategies.STRATEGIES`.
        seed: of its randomness.
        evaluations: plans that it may judge.
        reward: name in `envs.rewards.REWARDS`.
        workspace: folder that `agents.search.workspace` writes: problem, model, factors, proxy set, evaluations.
        policy: that an earlier search of the same strategy learned, to go on from.
    """

    strategy: str
    seed: int
    evaluations: int
    reward: str
    workspace: str
    policy: Policy | None = field(default=None, hash=False)


OnTaskTrial = Callable[[SearchTask, Trial, int], None]


class Executor(Protocol):
    """Runs searches side by side, reports their trials as they come, stops them on demand, leaves no process behind."""

    def run(self, tasks: Sequence[SearchTask], *, on_trial: OnTaskTrial, should_stop: ShouldStop) -> list[SearchResult]:
        """One result per task, in the order of `tasks`.

        Tasks that a stop kept from judging a single plan are left out of the list.

        Raises:
            StageError: a task failed; the message says which and why.
        """
        ...

    def close(self) -> None:
        """Ends every process that the executor started."""
        ...
