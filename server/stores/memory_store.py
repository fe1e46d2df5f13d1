"""A job store in memory: for tests, and for a server whose jobs need not outlive it."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from server.jobs.job_moves import (
    after_event,
    cancelled,
    left,
    new_job,
    require_ended,
    require_own_room,
    require_room,
    require_same,
    resumed,
    started,
    state_event,
    unknown,
)
from server.jobs.job_state import Failure, Job, JobState, now
from server.jobs.tally import STAGE_FINISHED, Tally, seconds_by_stage
from shrinkml.events import Event, LoggedEvent
from shrinkml.job import JobSpec

log = logging.getLogger(__name__)


class MemoryJobStore:
    """Jobs and their events in this process; see `server.stores.job_store.JobStore`. One lock serves all."""

    def __init__(self, enqueue: Callable[[Job], None] = lambda job: None) -> None:
        """Keep no job yet.

        Args:
            enqueue: hands a queued job to the workers; a job that it raises for is not queued.
        """
        self._enqueue = enqueue
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._logs: dict[str, list[LoggedEvent]] = {}
        self._keys: dict[tuple[str | None, str], str] = {}

    def submit(
        self,
        spec: JobSpec,
        *,
        max_queued: int,
        idempotency_key: str | None = None,
        owner: str | None = None,
        max_owned: int | None = None,
    ) -> tuple[Job, bool]:
        """Queue a job of `owner`."""
        with self._lock:
            key = idempotency_key
            earlier = None if key is None else self.submitted(spec, idempotency_key=key, owner=owner)
            if earlier is not None:
                return earlier, False
            self.check_room(max_queued, owner=owner, max_owned=max_owned)
            job = replace(new_job(spec, owner), number=1 + max((job.number for job in self._jobs.values()), default=0))
            self._enqueue(job)
            self._logs[job.id] = []
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
                self._enqueue(job)
            return self._move(job)

    def start(self, job_id: str, attempt: int) -> Job | None:
        """Take a job up; None where `attempt` is over."""
        with self._lock:
            job = started(self.get(job_id), attempt)
            return None if job is None else self._move(job)

    def leave(self, job_id: str) -> None:
        """Take back a start."""
        with self._lock:
            self._move(left(self.get(job_id)))

    def finish(self, job_id: str, state: JobState, *, failure: Failure | None = None) -> Job:
        """End a job."""
        with self._lock:
            return self._move(self.get(job_id).moved_to(state, failure=failure))

    def log(self, job_id: str, event: Event) -> None:
        """Append `event` to the job's log unless its key is there already."""
        with self._lock:
            job = self.get(job_id)
            if all(entry.event.key != event.key for entry in self._logs[job_id]):
                self._jobs[job_id] = after_event(job, event, self._append(job_id, event).at)

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
