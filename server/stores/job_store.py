"""The contract of a job store: the truth about every job, which servers and workers share."""

from collections.abc import Callable
from typing import Protocol

from server.jobs.job_state import Failure, Job, JobState
from server.jobs.tally import Tally
from shrinkml.events import Event, LoggedEvent
from shrinkml.job import JobSpec

LEASE_S = 20.0  # without a sign of life, after which others take over the jobs of a worker; promised are thirty


class JobStore(Protocol):
    """Jobs and their events.

    Every method takes effect whole or not at all, and any number of threads and processes may call them at once:

    - A job moves from one state to the next as if nobody else were at work: a move is made from the state that it was
      decided in, or decided again. So of two workers that end a job, one is refused.
    - Every state that a job comes into is an event of its log. A log is numbered from 1 without a gap, and holds one
      event of a key.
    - A job that waits, or was left, is taken up by one worker, and has a claim then that no other one has. Whoever
      writes about it shows the claim, which is checked where the change is made: who lost it changes nothing. A worker
      that gives no sign of life for `lease_s` seconds has lost its jobs as soon as another one takes them up.
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
        priority: int = 0,
    ) -> tuple[Job, bool]:
        """Queue a job of `owner`. Returns it and True, or the job that came before with the same key and False.

        Of the owner's jobs that wait, the one of the highest `priority` comes first.

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

    def claim(self, worker: str) -> Job | None:
        """Take up a job for `worker`, which is a sign of life; None where none waits.

        First come jobs that are nobody's any more: those that this worker had when it died, that another one left, or
        whose worker is silent. Then the users whose jobs wait have their turns: of those with the fewest that run, the
        one who was served longest ago, or who has waited longest; of a user's own jobs the most urgent one, and of
        these the oldest.
        """
        ...

    def beat(self, worker: str) -> None:
        """Take note of a sign of life of `worker`."""
        ...

    def silence_s(self) -> float | None:
        """Return the seconds since the last sign of life of any worker; None where none was ever given."""
        ...

    def holding(self, claim: Job) -> JobState:
        """Return the state of the job that `claim` returned: cheap enough to ask several times a second.

        Raises:
            UnknownJobError: there is no such job.
            ClaimLostError: it has ended, or another worker has taken it over.
        """
        ...

    def leave(self, claim: Job) -> None:
        """Take back a claim: the worker leaves in order, and the next one goes on.

        Raises:
            UnknownJobError: there is no such job.
            ClaimLostError: it has ended, or another worker has taken it over.
        """
        ...

    def finish(self, claim: Job, state: JobState, *, failure: Failure | None = None) -> Job:
        """End the job that `claim` returned.

        Raises:
            UnknownJobError: there is no such job.
            ClaimLostError: it has ended, or another worker has taken it over.
            TransitionError: it cannot end so from the state that it is in.
        """
        ...

    def log(self, claim: Job, event: Event) -> None:
        """Append `event` to the log of the job that `claim` returned and note its stage and progress.

        Where its key is there already, nothing happens.

        Raises:
            UnknownJobError: there is no such job.
            ClaimLostError: it has ended, or another worker has taken it over.
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
