"""The moves of a job: each takes it as it is and returns it as it is afterwards, and knows nothing of stores."""

import secrets
from dataclasses import replace
from datetime import datetime

from server.jobs.job_state import TRANSITIONS, Job, JobState, Stage, Transition, now
from server.service_errors import (
    ClaimLostError,
    KeyReusedError,
    OwnerLimitError,
    QueueFullError,
    TransitionError,
    UnknownJobError,
)
from shrinkml.events import Event
from shrinkml.job import JobSpec


def new_job(spec: JobSpec, owner: str | None = None) -> Job:
    """Return a job that waits; its store gives it a number."""
    return Job(
        id=f"{spec.name}-{secrets.token_hex(4)}",
        number=0,
        spec=spec,
        state=JobState.QUEUED,
        attempt=1,
        starts=0,
        history=(Transition(JobState.QUEUED, now()),),
        owner=owner,
    )


def cancelled(job: Job) -> Job:
    """Return the job cancelled if it waited, cancelling if it ran, as it is if it was cancelled before.

    Raises:
        TransitionError: it has ended otherwise.
    """
    if job.state in (JobState.CANCELLING, JobState.CANCELLED):
        return job
    if job.state.ended:
        raise TransitionError(f"job {job.id} has ended ({job.state}): there is nothing left to cancel")
    return job.moved_to(JobState.CANCELLED if job.state is JobState.QUEUED else JobState.CANCELLING)


def resumed(job: Job) -> Job:
    """Return the failed or cancelled job queued again, and a job that waits as it is.

    Raises:
        TransitionError: it neither failed nor was cancelled.
    """
    if job.state is JobState.QUEUED:
        return job
    if JobState.QUEUED not in TRANSITIONS[job.state]:
        raise TransitionError(f"job {job.id} is {job.state}; only a failed or cancelled job can be resumed")
    return job.moved_to(JobState.QUEUED)


def claimed(job: Job, worker: str) -> Job:
    """Return the job taken up by `worker`, running or still cancelling; whoever had it before may not write any more.

    Raises:
        TransitionError: it has ended.
    """
    if job.state.ended:
        raise TransitionError(f"job {job.id} has ended ({job.state}): there is nothing to run")
    running = job.moved_to(JobState.RUNNING) if job.state is JobState.QUEUED else job
    return replace(running, starts=running.starts + 1, worker=worker, claim=running.claim + 1)


def left(job: Job) -> Job:
    """Return the job after its worker left in order: that start cost no worker, and anybody may take the job up."""
    return replace(job, starts=max(0, job.starts - 1), worker=None)


def require_claim(job: Job, claim: Job) -> None:
    """Return where the worker that took up `claim` still has the `job`.

    Raises:
        ClaimLostError: the job has ended, or another worker has taken it over.
    """
    if job.worker is None or job.claim != claim.claim:
        whose = f"{job.state}, and nobody's" if job.worker is None else f"taken over (claim {job.claim})"
        raise ClaimLostError(f"job {job.id} is no longer this worker's (claim {claim.claim}): it is {whose}")


def after_event(job: Job, event: Event, at: datetime) -> Job:
    """Return the job with the stage and progress that `event` tells of; its worker has shown that it gets on."""
    return replace(
        job,
        starts=0,
        stage=Stage(event.stage, at) if event.kind == "stage_started" else job.stage,
        progress=event.progress or job.progress,
    )


def state_event(job: Job) -> Event:
    """Return the event that tells of the state that the job came into last."""
    return Event(
        kind="state",
        key=f"state/{len(job.history)}",
        stage=job.stage.name if job.stage else "",
        message=f"The job is {job.state}." if job.failure is None else f"The job failed: {job.failure.message}",
        data={"state": job.state, "attempt": job.attempt},
    )


def require_same(job: Job, spec: JobSpec, idempotency_key: str) -> Job:
    """Return `job`, which came with `idempotency_key` before.

    Raises:
        KeyReusedError: it asked for something else than `spec`.
    """
    if job.spec != spec:
        raise KeyReusedError(
            f"idempotency key {idempotency_key!r} belongs to job {job.id}, which is another one; "
            "send a new key with a new job"
        )
    return job


def require_room(n_queued: int, max_queued: int) -> None:
    """Return where another job may wait.

    Raises:
        QueueFullError: `max_queued` jobs wait already.
    """
    if n_queued >= max_queued:
        raise QueueFullError(
            f"{n_queued} jobs wait already and the server accepts {max_queued}; "
            "try again when one has started, or cancel one of them"
        )


def require_own_room(owner: str | None, n_owned: int, max_owned: int | None) -> None:
    """Return where another job of `owner` may wait or run; nobody's have no such limit.

    Raises:
        OwnerLimitError: `max_owned` of them do already.
    """
    if owner is not None and max_owned is not None and n_owned >= max_owned:
        raise OwnerLimitError(
            f"{n_owned} jobs of {owner} wait or run already and the token allows {max_owned} at once; "
            "try again when one has ended, or cancel one of them"
        )


def require_ended(job_id: str, state: JobState) -> None:
    """Return where a job in `state` may be deleted.

    Raises:
        TransitionError: it waits or runs.
    """
    if not state.ended:
        raise TransitionError(f"job {job_id} is {state}; cancel it, and delete it when it has ended")


def unknown(job_id: str) -> UnknownJobError:
    """Return the error that no job is called `job_id`."""
    return UnknownJobError(f"no job {job_id!r}; GET /v1/jobs (or `shrinkml status`) lists the jobs of this server")
