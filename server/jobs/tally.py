"""The jobs of a service in figures, for what watches it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from server.jobs.job_state import JobState

STAGE_FINISHED = "stage_finished"


@dataclass(frozen=True, slots=True)
class Tally:
    """The jobs that a store holds, in figures.

    Attributes:
        jobs: state -> jobs in it; without the states that none is in.
        waiting_since: since when the job waits that has waited longest; None where none waits.
        evaluations: plans that the jobs have judged.
        stage_seconds: name of a stage, without its ratio -> seconds that it took in all jobs.
    """

    jobs: Mapping[JobState, int] = field(default_factory=dict)
    waiting_since: datetime | None = None
    evaluations: int = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


def seconds_by_stage(finished: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the seconds of the `finished` stages, names in a job ("search-3x") and seconds, by names without ratio."""
    found: dict[str, float] = defaultdict(float)
    for stage, seconds in finished:
        found[stage.partition("-")[0]] += seconds
    return dict(found)
