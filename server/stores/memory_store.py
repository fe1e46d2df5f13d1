"""A job store in memory: for tests, and for a server whose jobs need not outlive it."""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

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
from server.jobs.tally import STAGE_FINISHED, Tally, seconds_by_stage
from server.stores.job_store import LEASE_S
from shrinkml.events import Event, LoggedEvent
from shrinkml.job import JobSpec

log = logging.getLogger(__name__)


class MemoryJobStore:
    """Jobs and their events in this process; see `server.stores.job_store.JobStore`. One lock serves all."""

    def __init__(self, *, lease_s: float = LEASE_S) -> None:
        """Keep no job yet; others take over the jobs of a worker that is silent for `lease_s`."""
        self.lease_s = lease_s
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._logs: dict[str, list[LoggedEvent]] = {}
        self._keys: dict[tuple[str | None, str], str] = {}
        self._priorities: dict[str, int] = {}
        self._claimed_at: dict[str, float] = {}
        self._beats: dict[str, float] = {}

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
        with self._lock:
            key = idempotency_key
            earlier = None if key is None else self.submitted(spec, idempotency_key=key, owner=owner)
            if earlier is not None:
                return earlier, False
            self.check_room(max_queued, owner=owner, max_owned=max_owned)
            job = replace(new_job(spec, owner), number=1 + max((job.number for job in self._jobs.values()), default=0))
            self._logs[job.id] = []
            self._priorities[job.id] = priority
            self._move(job)
            if key is not None:
                self._keys[owner, key] = job.id
            return job, True

    def check_room(self, max_queued: int, *, owner: str | None = None, max_owned: int | None = None) -> None:
        """Return where another job of `owner` may wait."""
        with self._lock:
            jobs = self._jobs.values()
            require_room(sum(job.state is JobState.QUEUED for job in jobs), max_queued)
            require_own_room(owner, sum(job.owner == owner and not job.state.ended for job in jobs), max_owned)

    def submitted(self, spec: JobSpec, *, idempotency_key: str, owner: str | None = None) -> Job | None:
        """Return the job of `owner` that came before with the same key, if there is one."""
        with self._lock:
            job_id = self._keys.get((owner, idempotency_key))
            return None if job_id is None else require_same(self._jobs[job_id], spec, idempotency_key)

    def get(self, job_id: str) -> Job:
        """Return the job called `job_id`."""
        with self._lock:
            if job_id not in self._jobs:
                raise unknown(job_id)
            return self._jobs[job_id]

    def state(self, job_id: str) -> JobState:
        """Return the job's state."""
        return self.get(job_id).state

    def owner(self, job_id: str) -> str | None:
        """Return the job's owner."""
        return self.get(job_id).owner

    def page(
        self, *, limit: int, before: int | None = None, state: JobState | None = None, owner: str | None = None
    ) -> list[Job]:
        """Return at most `limit` jobs, the newest first."""
        with self._lock:
            jobs = list(reversed(self._jobs.values()))
        older = (job for job in jobs if before is None or job.number < before)
        fitting = (job for job in older if state in (None, job.state) and owner in (None, job.owner))
        return list(islice(fitting, limit))

    def tally(self) -> Tally:
        """Return the jobs in figures."""
        with self._lock:
            jobs, logs = list(self._jobs.values()), list(self._logs.values())
        events = (entry.event for log in logs for entry in log)
        finished = ((e.stage, e.data.get("seconds", 0.0)) for e in events if e.kind == STAGE_FINISHED)
        return Tally(
            jobs=Counter(job.state for job in jobs),
            waiting_since=min((job.history[-1].at for job in jobs if job.state is JobState.QUEUED), default=None),
            evaluations=sum(job.progress.evaluations_done for job in jobs if job.progress is not None),
            stage_seconds=seconds_by_stage(finished),
        )

    def cancel(self, job_id: str) -> Job:
        """Cancel a job that waits, or ask the worker of a running one to end it."""
        with self._lock:
            return self._move(cancelled(self.get(job_id)))

    def resume(self, job_id: str, *, max_queued: int, max_owned: int | None = None) -> Job:
        """Queue a failed or cancelled job again."""
        with self._lock:
            before = self.get(job_id)
            job = resumed(before)
            if job is not before:
                self.check_room(max_queued, owner=job.owner, max_owned=max_owned)
            return self._move(job)

    def claim(self, worker: str) -> Job | None:
        """Take up a job for `worker`; None where none waits."""
        with self._lock:
            self.beat(worker)
            lost = [job for job in self._jobs.values() if self._is_lost(job, worker)]
            waiting = [job for job in self._jobs.values() if job.state is JobState.QUEUED]
            if not lost and not waiting:
                return None
            job = min(lost or waiting, key=self._turn)
            self._claimed_at[job.id] = time.monotonic()
            return self._move(claimed(job, worker))

    def beat(self, worker: str) -> None:
        """Take note of a sign of life of `worker`."""
        with self._lock:
            self._beats[worker] = time.monotonic()

    def silence_s(self) -> float | None:
        """Return the seconds since the last sign of life of any worker."""
        with self._lock:
            return time.monotonic() - max(self._beats.values()) if self._beats else None

    def holding(self, claim: Job) -> JobState:
        """Return the state of the job that `claim` returned."""
        return self._held(claim).state

    def leave(self, claim: Job) -> None:
        """Take back a claim."""
        with self._lock:
            self._move(left(self._held(claim)))

    def finish(self, claim: Job, state: JobState, *, failure: Failure | None = None) -> Job:
        """End the job that `claim` returned."""
        with self._lock:
            return self._move(self._held(claim).moved_to(state, failure=failure))

    def log(self, claim: Job, event: Event) -> None:
        """Append `event` to the log of the job that `claim` returned unless its key is there already."""
        with self._lock:
            job = self._held(claim)
            if all(entry.event.key != event.key for entry in self._logs[job.id]):
                self._jobs[job.id] = after_event(job, event, self._append(job.id, event).at)

    def delete(self, job_id: str, clear: Callable[[], None]) -> None:
        """Forget a job that has ended, once `clear` has removed its files."""
        with self._lock:
            require_ended(job_id, self.get(job_id).state)
            clear()
            del self._jobs[job_id], self._logs[job_id]
            self._keys = {key: known for key, known in self._keys.items() if known != job_id}

    def events(
        self, job_id: str, *, after: int = 0, limit: int | None = None, kind: str | None = None
    ) -> list[LoggedEvent]:
        """Return the job's events of `kind` (or all) numbered above `after`."""
        with self._lock:
            entries = self._logs.get(job_id, [])[after:]
        return [entry for entry in entries if kind in (None, entry.event.kind)][:limit]

    def _held(self, claim: Job) -> Job:
        job = self.get(claim.id)
        require_claim(job, claim)
        return job

    def _is_lost(self, job: Job, worker: str) -> bool:
        """Return True where the job has begun and is nobody's any more, or was that of `worker` when it died."""
        silent_s = time.monotonic() - self._beats.get(job.worker or "", -math.inf)
        begun = job.state in (JobState.RUNNING, JobState.CANCELLING)
        return begun and (job.worker == worker or silent_s > self.lease_s)

    def _turn(self, job: Job) -> tuple[float, ...]:
        """Return what sorts jobs into the order that they are taken up in."""
        own = [other for other in self._jobs.values() if other.owner == job.owner]
        n_running = sum(other.state in (JobState.RUNNING, JobState.CANCELLING) for other in own)
        served_at = max(self._claimed_at.get(other.id, 0.0) for other in own)
        oldest = min((other.number for other in own if other.state is JobState.QUEUED), default=0)
        return n_running, served_at, oldest, -self._priorities[job.id], job.number

    def _move(self, job: Job) -> Job:
        before = self._jobs.get(job.id)
        self._jobs[job.id] = job
        if before is None or before.history != job.history:
            self._append(job.id, state_event(job))
            log.info("job %s is %s (attempt %d)", job.id, job.state, job.attempt, extra={"job_id": job.id})
        return job

    def _append(self, job_id: str, event: Event) -> LoggedEvent:
        entry = LoggedEvent(len(self._logs[job_id]) + 1, now(), event)
        self._logs[job_id].append(entry)
        return entry
