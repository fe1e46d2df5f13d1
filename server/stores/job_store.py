"""The contract of a job store: the truth about every job, which servers and workers share."""

from collections.abc import Callable
from typing import Protocol

from server.jobs.job_state import Failure, Job, JobState
from server.jobs.tally import Tally
from shrinkml.events import Event, LoggedEvent
from shrinkml.job import JobSpec


class JobStore(Protocol):
    """Jobs and their events.

    Every method takes effect whole or not at all, and any number of threads and processes may call them at once:

    - A job moves from one state to the next as if nobody else were at work: a move is made from the state that it was
      decided in, or decided again. So of two workers that end a job, one is refused.
    - Every state that a job comes into is an event of its log. A log is numbered from 1 without a gap, and holds one
      event of a key.
    - A job that is queued is handed to the workers, once, together with its move. If that fails, nothing has changed.
    - No more than `max_queued` jobs wait, however many are submitted or resumed at once, and no more than `max_owned`
      jobs of one owner wait or run; None sets no such limit.
    - Every owner has keys of its own, and so have the jobs without an owner.
    """

    def submit(
        self,
        spec: JobSpec,
        *,
        max_queued: int,
        idempotency_key: str | None = None,
        owner: str | None = None,
        max_owned: int | None = None,
    ) -> tuple[Job, bool]:
        """Queue a job of `owner`. Returns it and True, or the job that came before with the same key and False.

        Raises:
            KeyReusedError: the key came before with another job.
            QueueFullError: `max_queued` jobs wait already.
            OwnerLimitError: `max_owned` jobs of the owner wait or run already.
        """
        ...

    def check_room(self, max_queued: int, *, owner: str | None = None, max_owned: int | None = None) -> None:
        """Return where another job of `owner` may wait: to be asked before work is spent on one.

        Raises:
            QueueFullError: `max_queued` jobs wait already.
            OwnerLimitError: `max_owned` jobs of the owner wait or run already.
        """
        ...

    def submitted(self, spec: JobSpec, *, idempotency_key: str, owner: str | None = None) -> Job | None:
        """Return the job of `owner` that came before with the same key, if there is one.

        Raises:
            KeyReusedError: the key came before with another job.
        """
        ...

    def get(self, job_id: str) -> Job:
        """Return the job called `job_id`.

        Raises:
            UnknownJobError: there is none.
        """
        ...

    def state(self, job_id: str) -> JobState:
        """Return the job's state: cheap enough to ask several times a second.

        Raises:
            UnknownJobError: there is no such job.
        """
        ...

    def owner(self, job_id: str) -> str | None:
        """Return the job's owner, of one that this version cannot read too.

        Raises:
            UnknownJobError: there is no such job.
        """
        ...

    def page(
        self, *, limit: int, before: int | None = None, state: JobState | None = None, owner: str | None = None
    ) -> list[Job]:
        """Return at most `limit` jobs, the newest first.

        Args:
            limit: of jobs.
            before: only those with a number below it.
            state: only those in it.
            owner: only those of this owner.
        """
        ...

    def tally(self) -> Tally:
        """Return the jobs in figures."""
        ...

    def cancel(self, job_id: str) -> Job:
        """Cancel a job that waits, or ask the worker of a running one to end it; asking twice does no harm.

        Raises:
            UnknownJobError: there is no such job.
            TransitionError: it has ended.
        """
        ...

    def resume(self, job_id: str, *, max_queued: int, max_owned: int | None = None) -> Job:
        """Queue a failed or cancelled job again, to go on from its last finished stage; asking twice does no harm.

        Raises:
            UnknownJobError: there is no such job.
            TransitionError: it neither failed nor was cancelled.
            QueueFullError: `max_queued` jobs wait already.
            OwnerLimitError: `max_owned` jobs of its owner wait or run already.
        """
        ...

    def start(self, job_id: str, attempt: int) -> Job | None:
        """Take a job up, perhaps after another worker died with it: it is running then, or still cancelling.

        None where `attempt` is over: the job was cancelled before it ran, or was resumed since.

        Raises:
            UnknownJobError: there is no such job.
        """
        ...

    def leave(self, job_id: str) -> None:
        """Take back a start: the worker leaves in order, and the next one goes on.

        Raises:
            UnknownJobError: there is no such job.
        """
        ...

    def finish(self, job_id: str, state: JobState, *, failure: Failure | None = None) -> Job:
        """End a job.

        Raises:
            UnknownJobError: there is no such job.
            TransitionError: it cannot end so from the state that it is in.
        """
        ...

    def log(self, job_id: str, event: Event) -> None:
        """Append `event` to the job's log and note its stage and progress, unless its key is there already.

        Raises:
            UnknownJobError: there is no such job.
        """
        ...

    def delete(self, job_id: str, clear: Callable[[], None]) -> None:
        """Forget a job that has ended, or that this version cannot read, once `clear` has removed its files.

        Raises:
            UnknownJobError: there is no such job.
            TransitionError: it waits or runs, or was resumed while it was cleared.
        """
        ...

    def events(
        self, job_id: str, *, after: int = 0, limit: int | None = None, kind: str | None = None
    ) -> list[LoggedEvent]:
        """Return the job's events of `kind` (or all) numbered above `after`, in order, at most `limit`."""
        ...
