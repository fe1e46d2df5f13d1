"""What a running job tells its audience: one record for the command line, the server's log and the report."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Attributes:
        fraction: of the whole job, in [0, 1].
        evaluations_done: plans judged so far.
        evaluations_total: plans that the job will judge at most.
        seconds_left: estimate from the speed so far; None until there is one.
    """

    fraction: float
    evaluations_done: int = 0
    evaluations_total: int = 0
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a job.

    Attributes:
        kind: "stage_started", "stage_finished", "evaluated", "epoch" or "note".
        key: unique within the job and the same when a resumed job repeats the step, so that a log keeps one of each.
        stage: the pipeline stage it belongs to.
        message: one sentence for people.
        data: JSON-able facts for programs.
        progress: of the whole job, where the sender knows it.
    """

    kind: str
    key: str
    stage: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress | None = None

    def to_json(self) -> dict[str, Any]:
        """The event as plain JSON values."""
        return asdict(self)


OnEvent = Callable[[Event], None]
ShouldStop = Callable[[], bool]
