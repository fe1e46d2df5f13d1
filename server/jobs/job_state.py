"""The job as the server knows it: its states, the moves between them, and why it failed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from server.service_errors import TransitionError
from shrinkml.events import Progress
from shrinkml.job import JobSpec


class JobState(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """True where nothing happens any more unless somebody resumes the job."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


# A job that is cancelling may still succeed or fail: it can end before it notices. Resuming goes back to the queue.
TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.CANCELLING, JobState.SUCCEEDED, JobState.FAILED}),
    JobState.CANCELLING: frozenset({JobState.CANCELLED, JobState.SUCCEEDED, JobState.FAILED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
}


@dataclass(frozen=True, slots=True)
class Transition:
    """A state and the moment the job came into it."""

    state: JobState
    at: datetime


@dataclass(frozen=True, slots=True)
class Stage:
    """The pipeline stage that a job is in, or was in last."""

    name: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason that a job failed.

    Attributes:
        code: stable name of the kind of error.
        stage: the pipeline stage that it happened in; empty before the first.
        message: what was found.
        hint: what to do about it.
    """

    code: str
    stage: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Job:
    """One submitted job.

    Attributes:
        id: unique, and good in a URL or a file name.
        number: counts the jobs of this server; later jobs have higher ones.
        spec: what to do, its paths absolute.
        state: where it stands.
        attempt: 1, and one more each time that it is resumed.
        starts: how often a worker took it up since it last told something new: a job that kills its workers shows here.
        history: every state it came into, the present one last.
        stage: where in the pipeline it is or was last.
        progress: as last told.
        failure: why it failed, in the state `failed` only.
        owner: the user who submitted it; None where the server asked nobody for a token then.
        worker: the worker that has it; None where it waits, has ended, or was left by the one that had it.
        claim: how often workers took it up: the number that gives the one that has it the right to write about it.
    """

    id: str
    number: int
    spec: JobSpec
    state: JobState
    attempt: int
    starts: int
    history: tuple[Transition, ...]
    stage: Stage | None = None
    progress: Progress | None = None
    failure: Failure | None = None
    owner: str | None = None
    worker: str | None = None
    claim: int = 0

    def moved_to(self, state: JobState, *, failure: Failure | None = None) -> "Job":
        """Return the job after its move to `state`, now.

        Raises:
            TransitionError: the job cannot go there from where it stands.
        """
        if state not in TRANSITIONS[self.state]:
            allowed = ", ".join(sorted(TRANSITIONS[self.state])) or "nothing"
            raise TransitionError(f"job {self.id} is {self.state} and cannot become {state}; possible: {allowed}")
        return replace(
            self,
            state=state,
            attempt=self.attempt + (state is JobState.QUEUED),
            starts=0 if state is JobState.QUEUED else self.starts,
            history=(*self.history, Transition(state, now())),
            failure=failure,
            worker=None if state.ended else self.worker,
        )


def now() -> datetime:
    """Return the time in UTC, to the millisecond."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
