import threading
import time

import pytest

from server.jobs.job_state import JobState
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
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.005)


def test_a_cancellation_is_heard_inside_and_not_before_it(store, job_id):
    with cancellation_of(store, job_id, overdue=lambda: pytest.fail("there is time")) as should_stop:
        assert not should_stop()
        store.cancel(job_id)
        until(should_stop)


def test_a_job_that_is_not_cancelled_is_left_at_once(store, job_id):
    with cancellation_of(store, job_id, overdue=lambda: pytest.fail("nobody cancelled")) as should_stop:
        pass
    assert not should_stop()
    assert not any(thread.name == f"cancellation of {job_id}" for thread in threading.enumerate())


def test_what_goes_on_too_long_after_a_cancellation_is_overdue(store, job_id, monkeypatch):
    monkeypatch.setattr(cancellation, "GRACE_S", 0.05)
    overdue = threading.Event()
    with cancellation_of(store, job_id, overdue=overdue.set):
        store.cancel(job_id)
        assert overdue.wait(10)
    assert store.state(job_id) is JobState.CANCELLING
