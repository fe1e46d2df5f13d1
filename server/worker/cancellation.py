"""Watch over a job for its cancellation, and see to it that it ends in time."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from server.jobs.job_state import JobState
from server.stores.job_store import JobStore
from shrinkml.events import ShouldStop

POLL_S = 0.25
GRACE_S = 7.0  # for the pipeline to stop by itself; whoever cancels is promised an end within ten seconds
log = logging.getLogger(__name__)


@contextmanager
def cancellation_of(store: JobStore, job_id: str, *, overdue: Callable[[], None]) -> Iterator[ShouldStop]:
    """Yield a function that tells if somebody cancelled the job. It costs nothing: a thread watches the store.

    Args:
        store: of the job.
        job_id: the job.
        overdue: called by that thread if the block is not left GRACE_S after the cancellation.
    """
    cancelled, left = threading.Event(), threading.Event()

    def watch() -> None:
        while store.state(job_id) is not JobState.CANCELLING:
            if left.wait(POLL_S):
                return
        log.info("job %s is to be cancelled", job_id)
        cancelled.set()
        if not left.wait(GRACE_S):
            overdue()

    thread = threading.Thread(target=watch, name=f"cancellation of {job_id}", daemon=True)
    thread.start()
    try:
        yield cancelled.is_set
    finally:
        left.set()
        thread.join()
