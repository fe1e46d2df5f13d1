"""The job store: the truth about every job, in one database that the server and its worker share."""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import sqlalchemy as sa

from server.jobs.job_state import TRANSITIONS, Failure, Job, JobState, Transition, now
from server.service_errors import KeyReusedError, QueueFullError, TransitionError, UnknownJobError
from server.stores.rows import job_of, values_of
from server.stores.schema import EVENTS, JOBS
from shrinkml.events import Event, LoggedEvent
from shrinkml.job import JobSpec

Enqueue = Callable[[sa.Connection, Job], None]  # hands a job to the workers, in the transaction that queues it


class JobStore:
    """Jobs and their events. Every method is one transaction; safe to share between threads and processes."""

    def __init__(self, engine: sa.Engine) -> None:
        self._reader = engine
        self._writer = engine.execution_options(immediate=True)

    def submit(
        self, spec: JobSpec, *, enqueue: Enqueue, max_queued: int, idempotency_key: str | None = None
    ) -> tuple[Job, bool]:
        """The queued job and True, or the job that came before with the same key and False.

        Raises:
            KeyReusedError: the key came before with another job.
            QueueFullError: `max_queued` jobs wait already.
        """
        digest = _digest(spec)
        with self._writer.begin() as db:
            earlier = None if idempotency_key is None else _submitted_before(db, idempotency_key, digest)
            if earlier is not None:
                return earlier, False
            _require_room(db, max_queued)
            job = Job(
                id=f"{spec.name}-{secrets.token_hex(4)}",
                number=0,
                spec=spec,
                state=JobState.QUEUED,
                attempt=1,
                starts=0,
                history=(Transition(JobState.QUEUED, now()),),
            )
            row = {**values_of(job), "idempotency_key": idempotency_key, "request_digest": digest}
            db.execute(sa.insert(JOBS).values(row))
            _log_state(db, job)
            enqueue(db, job)
            return _get(db, job.id), True

    def submitted(self, spec: JobSpec, *, idempotency_key: str) -> Job | None:
        """The job that came before with the same key, if there is one.

        Raises:
            KeyReusedError: the key came before with another job.
        """
        with self._reader.connect() as db:
            return _submitted_before(db, idempotency_key, _digest(spec))

    def get(self, job_id: str) -> Job:
        """The job called `job_id`.

        Raises:
            UnknownJobError: there is none.
        """
        with self._reader.connect() as db:
            return _get(db, job_id)

    def page(self, *, limit: int, before: int | None = None, state: JobState | None = None) -> list[Job]:
        """At most `limit` jobs, the newest first: those with a number below `before`, in `state` where one is given."""
        query = sa.select(JOBS).order_by(JOBS.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(JOBS.c.number < before)
        if state is not None:
            query = query.where(JOBS.c.state == state)
        with self._reader.connect() as db:
            return [job_of(row) for row in db.execute(query)]

    def cancel(self, job_id: str) -> Job:
        """The job, cancelled if it waited, cancelling if it ran (the worker ends it); asking twice does no harm.

        Raises:
            UnknownJobError: there is no such job.
            TransitionError: it has ended.
        """
        with self._writer.begin() as db:
            job = _get(db, job_id)
            if job.state in (JobState.CANCELLING, JobState.CANCELLED):
                return job
            if job.state.ended:
                raise TransitionError(f"job {job.id} has ended ({job.state}): there is nothing left to cancel")
            return _move(db, job.moved_to(JobState.CANCELLED if job.state is JobState.QUEUED else JobState.CANCELLING))

    def resume(self, job_id: str, *, enqueue: Enqueue, max_queued: int) -> Job:
        """The failed or cancelled job, queued again to go on from its last finished stage; asking twice does no harm.

        Raises:
            UnknownJobError: there is no such job.
            TransitionError: it neither failed nor was cancelled.
            QueueFullError: `max_queued` jobs wait already.
        """
        with self._writer.begin() as db:
            job = _get(db, job_id)
            if job.state is JobState.QUEUED:
                return job
            if JobState.QUEUED not in TRANSITIONS[job.state]:
                raise TransitionError(f"job {job.id} is {job.state}; only a failed or cancelled job can be resumed")
            _require_room(db, max_queued)
            job = _move(db, job.moved_to(JobState.QUEUED))
            enqueue(db, job)
            return job

    def start(self, job_id: str, attempt: int) -> Job | None:
        """The job, running (or still cancelling), for the worker that takes it up, perhaps after another one died.

        None where `attempt` is over: the job was cancelled before it ran, or was resumed since.
        """
        with self._writer.begin() as db:
            job = _get(db, job_id)
            if job.attempt != attempt or job.state.ended:
                return None
            if job.state is JobState.QUEUED:
                job = _move(db, job.moved_to(JobState.RUNNING))
            db.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(starts=JOBS.c.starts + 1))
            return _get(db, job_id)

    def finish(self, job_id: str, state: JobState, *, failure: Failure | None = None) -> Job:
        """The job, ended.

        Raises:
            TransitionError: it cannot end so from where it stands.
        """
        with self._writer.begin() as db:
            return _move(db, _get(db, job_id).moved_to(state, failure=failure))

    def state(self, job_id: str) -> JobState:
        """Where the job stands: cheap enough to ask several times a second.

        Raises:
            UnknownJobError: there is no such job.
        """
        with self._reader.connect() as db:
            state = db.execute(sa.select(JOBS.c.state).where(JOBS.c.id == job_id)).scalar_one_or_none()
        if state is None:
            raise _unknown(job_id)
        return JobState(state)

    def log(self, job_id: str, event: Event) -> None:
        """Appends `event` to the job's log and notes its stage and progress, unless its key is there already."""
        with self._writer.begin() as db:
            at = _append(db, job_id, event)
            if at is None:
                return
            news: dict[str, object] = {"starts": 0}
            if event.kind == "stage_started":
                news["stage"] = {"name": event.stage, "started_at": at.isoformat()}
            if event.progress is not None:
                news["progress"] = event.to_json()["progress"]
            db.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(news))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Meanwhile nobody can change anything: what happens to a job while its processes are killed stays unsaid."""
        with self._writer.begin():
            yield

    def events(
        self, job_id: str, *, after: int = 0, limit: int | None = None, kind: str | None = None
    ) -> list[LoggedEvent]:
        """The job's events of `kind` (or all) with a sequence number above `after`, in order, at most `limit`."""
        query = sa.select(EVENTS).where(EVENTS.c.job_id == job_id, EVENTS.c.sequence > after)
        if kind is not None:
            query = query.where(EVENTS.c.kind == kind)
        with self._reader.connect() as db:
            rows = db.execute(query.order_by(EVENTS.c.sequence).limit(limit)).all()
        return [LoggedEvent(row.sequence, datetime.fromisoformat(row.at), Event.from_json(row.event)) for row in rows]


def _get(db: sa.Connection, job_id: str) -> Job:
    row = db.execute(sa.select(JOBS).where(JOBS.c.id == job_id)).one_or_none()
    if row is None:
        raise _unknown(job_id)
    return job_of(row)


def _unknown(job_id: str) -> UnknownJobError:
    return UnknownJobError(f"no job {job_id!r}; GET /v1/jobs (or `shrinkml status`) lists the jobs of this server")


def _digest(spec: JobSpec) -> str:
    return hashlib.sha256(json.dumps(spec.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def _submitted_before(db: sa.Connection, key: str, digest: str) -> Job | None:
    row = db.execute(sa.select(JOBS).where(JOBS.c.idempotency_key == key)).one_or_none()
    if row is not None and row.request_digest != digest:
        raise KeyReusedError(
            f"idempotency key {key!r} belongs to job {row.id}, which is another one; send a new key with a new job"
        )
    return None if row is None else job_of(row)


def _require_room(db: sa.Connection, max_queued: int) -> None:
    n_queued = db.execute(sa.select(sa.func.count()).where(JOBS.c.state == JobState.QUEUED)).scalar_one()
    if n_queued >= max_queued:
        raise QueueFullError(
            f"{n_queued} jobs wait already and the server accepts {max_queued}; "
            "try again when one has started, or cancel one of them"
        )


def _move(db: sa.Connection, job: Job) -> Job:
    db.execute(sa.update(JOBS).where(JOBS.c.id == job.id).values(values_of(job)))
    _log_state(db, job)
    return job


def _log_state(db: sa.Connection, job: Job) -> None:
    event = Event(
        kind="state",
        key=f"state/{len(job.history)}",
        stage=job.stage.name if job.stage else "",
        message=f"The job is {job.state}." if job.failure is None else f"The job failed: {job.failure.message}",
        data={"state": job.state, "attempt": job.attempt},
    )
    _append(db, job.id, event)


def _append(db: sa.Connection, job_id: str, event: Event) -> datetime | None:
    """When the event was logged; None if its key was there already."""
    log = EVENTS.c.job_id == job_id
    if db.execute(sa.select(EVENTS.c.sequence).where(log, EVENTS.c.key == event.key)).first() is not None:
        return None
    at = now()
    last = db.execute(sa.select(sa.func.max(EVENTS.c.sequence)).where(log)).scalar_one() or 0
    row = {"sequence": last + 1, "key": event.key, "kind": event.kind, "at": at.isoformat(), "event": event.to_json()}
    db.execute(sa.insert(EVENTS).values(job_id=job_id, **row))
    return at
