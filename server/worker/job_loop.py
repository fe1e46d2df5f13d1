"""The worker's loop: one job after the other, for as long as the process lives."""

import logging
import time
from collections.abc import Callable

from server.jobs.job_state import Job
from server.log_context import about_job
from server.stores.job_store import JobStore

POLL_S = 0.25
OUTAGE_POLL_S = 1.0  # while the store does not answer
log = logging.getLogger(__name__)


def run_jobs(store: JobStore, worker: str, run: Callable[[Job], None], at_work: list[Job]) -> None:
    """Take up jobs of `store` for `worker` and `run` each; returns only by what `run` raises.

    Args:
        store: the jobs.
        worker: id of this worker.
        run: runs a job to its end; raises where its end could not be written.
        at_work: holds the job that is run.
    """
    while True:
        job = next_job(store, worker)
        at_work.append(job)
        try:
            with about_job(job.id):
                run(job)
        finally:
            at_work.remove(job)


def next_job(store: JobStore, worker: str) -> Job:
    """Return a job that was taken up for `worker`, as soon as there is one; the store may be away for a while."""
    answers = True
    while True:
        try:
            job = store.claim(worker)
        except Exception as error:  # whatever it is, it may be over the next time
            if answers:
                log.warning("the store gives no jobs: %s", error)
            answers = False
            time.sleep(OUTAGE_POLL_S)
            continue
        answers = True
        if job is not None:
            return job
        time.sleep(POLL_S)
