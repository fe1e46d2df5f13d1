"""Events of a running job: one record for the command line, the server's log and the report."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a job.

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
        kind: "stage_started", "stage_finished", "evaluated", "epoch" or "timed"; the service adds "state", for the
            job's own, and "stopped", which names the best checkpoint of a job that was cancelled.
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

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Event":
        """The event that `to_json` wrote; other keys are left aside."""
        progress = value.get("progress")
        return cls(
            kind=value["kind"],
            key=value["key"],
            stage=value["stage"],
            message=value["message"],
            data=value.get("data", {}),
            progress=None if progress is None else Progress(**progress),
        )


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event in a job's log.

    Attributes:
        sequence: 1 for the job's first event, and so on without a gap.
        at: when it was logged.
        event: what happened.
    """

    sequence: int
    at: datetime
    event: Event

    def to_json(self) -> dict[str, Any]:
        """The entry as one flat JSON object."""
        return {"sequence": self.sequence, "at": self.at.isoformat(), **self.event.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "LoggedEvent":
        """The entry that `to_json` wrote."""
        return cls(value["sequence"], datetime.fromisoformat(value["at"]), Event.from_json(value))


OnEvent = Callable[[Event], None]
ShouldStop = Callable[[], bool]
