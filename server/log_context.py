"""The request and the job that this process is at work for, for the lines of its log."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
JOB_ID: ContextVar[str | None] = ContextVar("job_id", default=None)


@contextmanager
def about_job(job_id: str) -> Iterator[None]:
    """Have the lines that are logged meanwhile, here and in what is called from here, say that they are about a job."""
    before = JOB_ID.set(job_id)
    try:
        yield
    finally:
        JOB_ID.reset(before)
