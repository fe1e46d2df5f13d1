"""Watch over a job for its cancellation and its limits, and see to it that it ends in time."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context

from server.jobs.job_state import JobState
from server.service_errors import JobLimitError
from server.stores.job_store import JobStore

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
    store: JobStore, job_id: str, *, check_limits: Callable[[], None], overdue: Callable[[Watch], None]
) -> Iterator[Watch]:
    """Yield what tells if somebody cancelled the job, or it exceeded a limit: a thread looks.

    Args:
        store: of the job.
        job_id: the job.
        check_limits: raises a JobLimitError where the job exceeds one.
        overdue: called by that thread if the block is not left GRACE_S after the job was asked to end.
    """
    watch, left, looked = Watch(), threading.Event(), time.monotonic()

    def is_over() -> bool:
        """Return True where the job is cancelled or exceeds a limit."""
        nonlocal looked
        if store.state(job_id) is JobState.CANCELLING:
            return True
        if time.monotonic() - looked >= LIMIT_POLL_S:
            looked = time.monotonic()
            try:
                check_limits()
            except JobLimitError as error:
                watch.exceeded = error
                return True
        return False

    def look() -> None:
        while not is_over():
            if left.wait(POLL_S):
                return
        log.info("job %s is to be ended: %s", job_id, watch.exceeded or "it was cancelled")
        watch.stop()
        if not left.wait(GRACE_S):
            overdue(watch)

    context = copy_context()  # lines that the thread logs are about the job, too
    thread = threading.Thread(target=context.run, args=(look,), name=f"cancellation of {job_id}", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        left.set()
        thread.join()
