"""A job store in a database, SQLite or Postgres, by SQLAlchemy. It relies on no lock of the database.

What is read is read first. A transaction then opens with a compare-and-set, an UPDATE that fits only the version that
was read, and rolls back if that changed no row. A job's row has such a version, which every move and every event
raises, so that a log has one writer at a time; the queue has one, which every job that is queued raises, so that the
numbers of jobs that wait, and of one owner's, are true when one is added. Unique columns do the same for idempotency
keys. A claim raises the version of its job as well: what a worker that has lost the job decided before fits no more.
"""

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from server.jobs.job_moves import (
    after_event,
    cancelled,
    claimed,
    left,
    new_job,
    require_claim,
    require_ended,
    require_own_room,
    require_room,
    require_same,
    resumed,
    state_event,
    unknown,
)
from server.jobs.job_state import Failure, Job, JobState, now
from server.jobs.tally import Tally, seconds_by_stage
from server.service_errors import TransitionError, UnreadableJobError
from server.stores.database_clock import SecondsNow
from server.stores.job_store import LEASE_S
from server.stores.racing_writers import LostRaceError, until_won
from server.stores.rows import event_of, job_of, stored_key, values_of
from server.stores.schema import EVENTS, JOBS
from server.stores.statements import (
    BEAT,
    CLAIMABLE,
    COUNTS,
    EVALUATIONS,
    FIRST_BEAT,
    FORGET_SILENT,
    HELD,
    INSERT_EVENT,
    INSERT_JOB,
    JOB,
    OWNER,
    ROOM,
    SILENCE,
    STAGE_SECONDS,
    STATE,
    TAKE,
    WAITING,
    WITH_KEY,
)
from server.webhooks.outbox import note
from shrinkml.events import Event, LoggedEvent
from shrinkml.job import JobSpec

FORGET_S = 24 * 3600.0  # a worker that is silent for so long is forgotten
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """A job as it was read.

    Attributes:
        job: the job.
        version: of its row, then.
        n_events: in its log, then.
    """

    job: Job
    version: int
    n_events: int


class SqlJobStore:
    """Jobs and their events in a database; see `server.stores.job_store.JobStore`."""

    def __init__(self, engine: sa.Engine, *, lease_s: float = LEASE_S) -> None:
        """Use the database of `engine`, whose tables are there (see `server.stores.schema.connect`).

        Others take over the jobs of a worker that is silent for `lease_s`.
        """
        self.lease_s = lease_s
        self._engine = engine
        self._passed_over: set[str] = set()  # jobs that cannot be read, which was told
        self._queueing = threading.Lock()  # threads of this process wait: of those that race all but one lose

    def submit(
        self,
        spec: JobSpec,
        *,
        max_queued: int,
        idempotency_key: str | None = None,
        owner: str | None = None,
        max_owned: int | None = None,
        priority: int = 0,
    ) -> tuple[Job, bool]:
        """Queue a job of `owner`."""

        def change() -> tuple[Job, bool]:
            key = idempotency_key
            earlier = None if key is None else self.submitted(spec, idempotency_key=key, owner=owner)
            if earlier is not None:
                return earlier, False
            ticket = self._ticket(max_queued, owner, max_owned)
            return self._insert(new_job(spec, owner), ticket, key, priority), True

        with self._queueing:
            return until_won(change)

    def check_room(self, max_queued: int, *, owner: str | None = None, max_owned: int | None = None) -> None:
        """Return where another job of `owner` may wait."""
        self._ticket(max_queued, owner, max_owned)

    def submitted(self, spec: JobSpec, *, idempotency_key: str, owner: str | None = None) -> Job | None:
        """Return the job of `owner` that came before with the same key, if there is one."""
        with self._engine.connect() as db:
            row = db.execute(WITH_KEY, {"key": stored_key(owner, idempotency_key)}).one_or_none()
        return None if row is None else require_same(job_of(row), spec, idempotency_key)

    def get(self, job_id: str) -> Job:
        """Return the job called `job_id`."""
        with self._engine.connect() as db:
            return job_of(_row(db, job_id))

    def state(self, job_id: str) -> JobState:
        """Return the job's state."""
        with self._engine.connect() as db:
            state = db.execute(STATE, {"job_id": job_id}).scalar_one_or_none()
        if state is None:
            raise unknown(job_id)
        return JobState(state)

    def owner(self, job_id: str) -> str | None:
        """Return the job's owner."""
        with self._engine.connect() as db:
            row = db.execute(OWNER, {"job_id": job_id}).one_or_none()
        if row is None:
            raise unknown(job_id)
        owner: str | None = row.owner
        return owner

    def page(
        self, *, limit: int, before: int | None = None, state: JobState | None = None, owner: str | None = None
    ) -> list[Job]:
        """Return at most `limit` jobs, the newest first."""
        query = sa.select(JOBS).order_by(JOBS.c.number.desc())
        if before is not None:
            query = query.where(JOBS.c.number < before)
        if state is not None:
            query = query.where(JOBS.c.state == state)
        if owner is not None:
            query = query.where(JOBS.c.owner == owner)
        with self._engine.connect() as db, closing(_readable(db.execute(query))) as jobs:
            return list(islice(jobs, limit))

    def tally(self) -> Tally:
        """Return the jobs in figures."""
        with self._engine.connect() as db:
            counts = {JobState(state): n for state, n in db.execute(COUNTS)}
            evaluations = db.execute(EVALUATIONS).scalar_one() or 0
            seconds = seconds_by_stage((stage, total) for stage, total in db.execute(STAGE_SECONDS))
            waiting = [job.history[-1].at for job in _readable(db.execute(WAITING))]
        return Tally(counts, min(waiting, default=None), evaluations, seconds)

    def cancel(self, job_id: str) -> Job:
        """Cancel a job that waits, or ask the worker of a running one to end it."""

        def change() -> Job:
            seen = self._see(job_id)
            return self._move(seen, cancelled(seen.job))

        return until_won(change)

    def resume(self, job_id: str, *, max_queued: int, max_owned: int | None = None) -> Job:
        """Queue a failed or cancelled job again."""

        def change() -> Job:
            seen = self._see(job_id)
            job = resumed(seen.job)
            if job is seen.job:
                return job
            return self._move(seen, job, ticket=self._ticket(max_queued, job.owner, max_owned))

        return until_won(change)

    def claim(self, worker: str) -> Job | None:
        """Take up a job for `worker`; None where none waits."""

        def change() -> Job | None:
            seen = self._next(worker)
            if seen is None:
                return None
            job = claimed(seen.job, worker)
            event = state_event(job) if job.history != seen.job.history else None
            with self._engine.begin() as db:
                _swap(db, seen, job, claimed_at=SecondsNow())
                if event is not None:
                    _append(db, job.id, seen.n_events + 1, event, now())
                _beat(db, worker)
            _tell(job)
            return job

        return until_won(change)

    def beat(self, worker: str) -> None:
        """Take note of a sign of life of `worker`."""

        def change() -> None:
            with self._engine.begin() as db:
                _beat(db, worker)

        until_won(change)

    def silence_s(self) -> float | None:
        """Return the seconds since the last sign of life of any worker."""
        with self._engine.connect() as db:
            return db.execute(SILENCE).scalar_one()

    def holding(self, claim: Job) -> JobState:
        """Return the state of the job that `claim` returned."""
        with self._engine.connect() as db:
            row = db.execute(HELD, {"job_id": claim.id}).one_or_none()
        if row is None:
            raise unknown(claim.id)
        state = JobState(row.state)
        require_claim(replace(claim, state=state, worker=row.worker, claim=row.claim), claim)
        return state

    def leave(self, claim: Job) -> None:
        """Take back a claim."""

        def change() -> None:
            seen = self._held(claim)
            self._move(seen, left(seen.job))

        until_won(change)

    def finish(self, claim: Job, state: JobState, *, failure: Failure | None = None) -> Job:
        """End the job that `claim` returned."""

        def change() -> Job:
            seen = self._held(claim)
            return self._move(seen, seen.job.moved_to(state, failure=failure))

        return until_won(change)

    def log(self, claim: Job, event: Event) -> None:
        """Append `event` to the log of the job that `claim` returned unless its key is there already."""

        def change() -> None:
            seen = self._held(claim)
            if not self._knows(claim.id, event.key):
                at = now()
                self._write(seen, after_event(seen.job, event, at), event, at)

        until_won(change)

    def delete(self, job_id: str, clear: Callable[[], None]) -> None:
        """Forget a job that has ended, or that this version cannot read, once `clear` has removed its files."""
        with self._engine.connect() as db:
            row = _row(db, job_id)
        if _is_readable(row):
            require_ended(job_id, JobState(row.state))
        clear()
        with self._engine.begin() as db:
            db.execute(sa.delete(EVENTS).where(EVENTS.c.job_id == job_id))
            unchanged = sa.and_(JOBS.c.id == job_id, JOBS.c.version == row.version)
            if db.execute(sa.delete(JOBS).where(unchanged)).rowcount != 1:
                raise TransitionError(f"job {job_id} was resumed or deleted meanwhile; see what it is, and ask again")
        log.info("job %s is deleted", job_id)

    def events(
        self, job_id: str, *, after: int = 0, limit: int | None = None, kind: str | None = None
    ) -> list[LoggedEvent]:
        """Return the job's events of `kind` (or all) numbered above `after`."""
        query = sa.select(EVENTS).where(EVENTS.c.job_id == job_id, EVENTS.c.sequence > after)
        if kind is not None:
            query = query.where(EVENTS.c.kind == kind)
        with self._engine.connect() as db:
            rows = db.execute(query.order_by(EVENTS.c.sequence).limit(limit)).all()
        return [event_of(row) for row in rows]

    def _see(self, job_id: str) -> Seen:
        with self._engine.connect() as db:
            row = _row(db, job_id)  # before its events: what is appended later has another version
            last = sa.select(sa.func.max(EVENTS.c.sequence)).where(EVENTS.c.job_id == job_id)
            return Seen(job_of(row), row.version, db.execute(last).scalar_one() or 0)

    def _held(self, claim: Job) -> Seen:
        """Return the job as it is; what is decided on it is written only while nobody else has taken it up."""
        seen = self._see(claim.id)
        require_claim(seen.job, claim)
        return seen

    def _next(self, worker: str) -> Seen | None:
        """Return the job that `worker` may take up first; those that this version cannot read are passed over."""
        with self._engine.connect() as db:
            found = db.execute(CLAIMABLE, {"worker": worker, "lease_s": self.lease_s}).all()
        for job_id, version in found:
            try:
                seen = self._see(job_id)
            except UnreadableJobError as error:
                if job_id not in self._passed_over:
                    log.error("%s", error)
                    self._passed_over.add(job_id)
                continue
            if seen.version != version:  # it may be another worker's now
                raise LostRaceError
            return seen
        return None

    def _knows(self, job_id: str, key: str) -> bool:
        with self._engine.connect() as db:
            query = sa.select(EVENTS.c.sequence).where(EVENTS.c.job_id == job_id, EVENTS.c.key == key)
            return db.execute(query).first() is not None

    def _ticket(self, max_queued: int, owner: str | None = None, max_owned: int | None = None) -> int:
        """Return the version of a queue that has room for another job of `owner`."""
        with self._engine.connect() as db:
            version, n_queued, n_owned = db.execute(ROOM, {"owner": owner}).one()
        require_room(n_queued, max_queued)
        require_own_room(owner, n_owned, max_owned)
        return int(version)

    def _insert(self, job: Job, ticket: int, idempotency_key: str | None, priority: int) -> Job:
        key = None if idempotency_key is None else stored_key(job.owner, idempotency_key)
        row = {**values_of(job), "version": 0, "idempotency_key": key, "request_digest": _digest(job.spec)}
        with self._engine.begin() as db:
            _take(db, ticket)
            number = db.execute(INSERT_JOB, {**row, "priority": priority}).scalar_one()
            numbered = replace(job, number=number)
            _append(db, job.id, 1, state_event(job), now())
        _tell(numbered)
        return numbered

    def _move(self, seen: Seen, job: Job, *, ticket: int | None = None) -> Job:
        """Return the job, moved; with a `ticket` it waits then."""
        moved = job.history != seen.job.history
        if job != seen.job:
            self._write(seen, job, state_event(job) if moved else None, now(), ticket=ticket)
        if moved:
            _tell(job)
        return job

    def _write(self, seen: Seen, job: Job, event: Event | None, at: datetime, *, ticket: int | None = None) -> None:
        with self._engine.begin() as db:
            _swap(db, seen, job)
            if event is not None:
                _append(db, job.id, seen.n_events + 1, event, at)
            if ticket is not None:
                _take(db, ticket)


def _readable(rows: Iterable[sa.Row[Any]]) -> Generator[Job]:
    """The jobs of `rows`, without those that this version cannot read."""
    for row in rows:
        try:
            yield job_of(row)
        except UnreadableJobError as error:
            log.warning("%s", error)


def _is_readable(row: sa.Row[Any]) -> bool:
    try:
        job_of(row)
    except UnreadableJobError:
        return False
    return True


def _row(db: sa.Connection, job_id: str) -> sa.Row[tuple[object, ...]]:
    row = db.execute(JOB, {"job_id": job_id}).one_or_none()
    if row is None:
        raise unknown(job_id)
    return row


def _swap(db: sa.Connection, seen: Seen, job: Job, **more: Any) -> None:
    unchanged = sa.and_(JOBS.c.id == job.id, JOBS.c.version == seen.version)
    changed = sa.update(JOBS).where(unchanged).values({**values_of(job), "version": seen.version + 1, **more})
    _require_one(db.execute(changed))


def _beat(db: sa.Connection, worker: str) -> None:
    if db.execute(BEAT, {"worker": worker}).rowcount == 0:
        db.execute(FORGET_SILENT, {"silence_s": FORGET_S})
        db.execute(FIRST_BEAT, {"worker": worker})


def _take(db: sa.Connection, ticket: int) -> None:
    _require_one(db.execute(TAKE, {"ticket": ticket}))


def _require_one(changed: sa.CursorResult[Any]) -> None:
    if changed.rowcount != 1:
        raise LostRaceError


def _append(db: sa.Connection, job_id: str, sequence: int, event: Event, at: datetime) -> None:
    row = {"sequence": sequence, "key": event.key, "kind": event.kind, "at": at.isoformat(), "event": event.to_json()}
    db.execute(INSERT_EVENT, {"job_id": job_id, **row})
    note(db, job_id, sequence, event, at)


def _tell(job: Job) -> None:
    log.info("job %s is %s (attempt %d)", job.id, job.state, job.attempt, extra={"job_id": job.id})


def _digest(spec: JobSpec) -> str:
    """Return a checksum of the job that was asked for; databases of earlier versions demand one."""
    return hashlib.sha256(json.dumps(spec.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
