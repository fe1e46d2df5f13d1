"""The right of a worker to write about the job that it has taken up, and what came of using it."""

from collections.abc import Callable
from typing import TypeVar

from server.jobs.job_state import Failure, Job, JobState
from server.service_errors import ClaimLostError
from server.stores.job_store import JobStore
from shrinkml.events import Event

T = TypeVar("T")
Record = Callable[[Callable[[], object]], object]


class Attempt:
    """Everything that a worker asks of the store about its job.

    An error of the store is none of the job: the pipeline, in whose midst it is raised, would take it for one. So it is
    remembered.

    Attributes:
        job: as it was taken up.
        broken: the first error of the store: that the job was taken over, or that something could not be written.
    """

    def __init__(self, store: JobStore, job: Job, record: Record) -> None:
        """An attempt at `job`; `record` calls what it is given, which ends the job, unless the worker leaves."""
        self.job = job
        self.broken: Exception | None = None
        self._store = store
        self._record = record

    def state(self) -> JobState:
        """Return the job's state.

        Raises:
            ClaimLostError: it is no longer this worker's.
        """
        try:
            return self._store.holding(self.job)
        except ClaimLostError as error:
            self.broken = self.broken or error
            raise

    def require_held(self) -> None:
        """Return where the job is this worker's.

        Raises:
            ClaimLostError: it is no longer.
        """
        self._ask(lambda: self._store.holding(self.job))

    def now(self) -> Job:
        """Return the job as it is now."""
        return self._ask(lambda: self._store.get(self.job.id))

    def log(self, event: Event) -> None:
        """Append `event` to the job's log."""
        self._ask(lambda: self._store.log(self.job, event))

    def conclude(self, event: Event) -> None:
        """Append `event`, which tells of the job's end, unless the worker is about to leave."""
        self._record(lambda: self.log(event))

    def finish(self, state: JobState, failure: Failure | None = None) -> None:
        """End the job, unless the worker is about to leave."""
        self._record(lambda: self._ask(lambda: self._store.finish(self.job, state, failure=failure)))

    def require_whole(self) -> None:
        """Return where the store has taken all that was told.

        Raises:
            Exception: that of the store, where it has not.
        """
        if self.broken is not None:
            raise self.broken

    def _ask(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except Exception as error:
            self.broken = self.broken or error
            raise
