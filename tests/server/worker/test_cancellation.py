import threading
import time

import pytest

from server.jobs.job_state import JobState
from server.log_context import JOB_ID, about_job
from server.service_errors import TimeLimitError
from server.stores.memory_store import MemoryJobStore
from server.worker import cancellation
from server.worker.cancellation import cancellation_of


@pytest.fixture(autouse=True)
def look_often(monkeypatch):
    monkeypatch.setattr(cancellation, "POLL_S", 0.01)


@pytest.fixture
def store():
    return MemoryJobStore()


@pytest.fixture
def job_id(store, spec):
    job = store.submit(spec, max_queued=1)[0]
    store.start(job.id, 1)
    return job.id


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.005)


def never_over() -> None:
    """A job within its limits."""


def test_a_cancellation_is_heard_inside_and_not_before_it(store, job_id):
    overdue = pytest.fail
    with cancellation_of(store, job_id, check_limits=never_over, overdue=overdue) as watch:
        assert not watch.should_stop()
        store.cancel(job_id)
        until(watch.should_stop)
    assert watch.exceeded is None


def test_the_log_says_which_job_is_ended(store, job_id, monkeypatch):
    told = []
    monkeypatch.setattr(cancellation.log, "info", lambda message, *arguments: told.append(JOB_ID.get()))
    with about_job(job_id), cancellation_of(store, job_id, check_limits=never_over, overdue=pytest.fail) as watch:
        store.cancel(job_id)
        until(watch.should_stop)
    assert told == [job_id]


def test_a_job_that_is_not_cancelled_is_left_at_once(store, job_id):
    with cancellation_of(store, job_id, check_limits=never_over, overdue=pytest.fail) as watch:
        pass
    assert not watch.should_stop()
    assert not any(thread.name == f"cancellation of {job_id}" for thread in threading.enumerate())


def test_what_goes_on_too_long_after_a_cancellation_is_overdue(store, job_id, monkeypatch):
    monkeypatch.setattr(cancellation, "GRACE_S", 0.05)
    overdue = threading.Event()
    with cancellation_of(store, job_id, check_limits=never_over, overdue=lambda watch: overdue.set()):
        store.cancel(job_id)
        assert overdue.wait(60)
    assert store.state(job_id) is JobState.CANCELLING


def test_a_job_that_exceeds_a_limit_is_asked_to_end_and_the_limit_is_remembered(store, job_id, monkeypatch):
    monkeypatch.setattr(cancellation, "LIMIT_POLL_S", 0.0)
    over = threading.Event()

    def check() -> None:
        if over.is_set():
            raise TimeLimitError("too long")

    with cancellation_of(store, job_id, check_limits=check, overdue=pytest.fail) as watch:
        assert not watch.should_stop()
        over.set()
        until(watch.should_stop)
    assert str(watch.exceeded) == "too long"
    assert store.state(job_id) is JobState.RUNNING, "nobody cancelled"
