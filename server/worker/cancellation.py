"""Watch over a job for its cancellation, its limits and its loss, and see to it that it ends in time."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context

from server.jobs.job_state import JobState
from server.service_errors import ClaimLostError, JobLimitError
from server.worker.attempt import Attempt

POLL_S = 0.25
LIMIT_POLL_S = 5.0  # the job's files are counted each time
GRACE_S = 7.0  # for the pipeline to stop by itself; whoever cancels is promised an end within ten seconds
log = logging.getLogger(__name__)


class Watch:
    """The eye on a job.

    Attributes:
        exceeded: the limit that the job was stopped for; None where nobody or a user stopped it.
    """

    def __init__(self) -> None:
        """Nothing has happened."""
        self.exceeded: JobLimitError | None = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ask the job to end."""
        self._stopped.set()

    def should_stop(self) -> bool:
        """Return True once the job shall end. It costs nothing."""
        return self._stopped.is_set()


@contextmanager
def cancellation_of(
    attempt: Attempt, watch: Watch, *, check_limits: Callable[[], None], overdue: Callable[[], None]
) -> Iterator[None]:
    """Have a thread look if somebody cancelled the job, it exceeded a limit, or another worker took it over.

    Args:
        attempt: at the job.
        watch: is told.
        check_limits: raises a JobLimitError where the job exceeds one.
        overdue: called by that thread if the block is not left GRACE_S after the job was asked to end.
    """
    job_id = attempt.job.id
    left, looked, asked = threading.Event(), time.monotonic(), True

    def why_over() -> str | None:
        """Return why the job is to end; None where it is not."""
        nonlocal looked, asked
        try:
            if attempt.state() is JobState.CANCELLING:
                return "it was cancelled"
            asked = True
        except ClaimLostError as error:
            return str(error)
        except Exception as error:  # it may answer again
            if asked:
                log.warning("the store does not tell of job %s: %s", job_id, error)
            asked = False
        if time.monotonic() - looked >= LIMIT_POLL_S:
            looked = time.monotonic()
            try:
                check_limits()
            except JobLimitError as error:
                watch.exceeded = error
                return str(error)
        return None

    def look() -> None:
        while (why := why_over()) is None:
            if left.wait(POLL_S):
                return
        log.info("job %s is to be ended: %s", job_id, why)
        watch.stop()
        if not left.wait(GRACE_S):
            overdue()

    context = copy_context()  # lines that the thread logs are about the job, too
    thread = threading.Thread(target=context.run, args=(look,), name=f"cancellation of {job_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()
