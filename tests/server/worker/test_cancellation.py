import threading
import time

import pytest

from server.jobs.job_state import JobState
from server.log_context import JOB_ID, about_job
from server.service_errors import ClaimLostError, TimeLimitError
from server.stores.memory_store import MemoryJobStore
from server.worker import cancellation
from server.worker.attempt import Attempt
from server.worker.cancellation import Watch, cancellation_of


@pytest.fixture(autouse=True)
def look_often(monkeypatch):
    monkeypatch.setattr(cancellation, "POLL_S", 0.01)


@pytest.fixture
def store():
    return MemoryJobStore()


@pytest.fixture
def attempt(store, spec):
    store.submit(spec, max_queued=1)
    return Attempt(store, store.claim("w"), lambda write: write())


@pytest.fixture
def job_id(attempt):
    return attempt.job.id


@pytest.fixture
def watch():
    return Watch()


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.005)


def never_over() -> None:
    """A job within its limits."""


def test_a_cancellation_is_heard_inside_and_not_before_it(store, attempt, watch, job_id):
    with cancellation_of(attempt, watch, check_limits=never_over, overdue=pytest.fail):
        assert not watch.should_stop()
        store.cancel(job_id)
        until(watch.should_stop)
    assert watch.exceeded is None


def test_the_log_says_which_job_is_ended(store, attempt, watch, job_id, monkeypatch):
    told = []
    monkeypatch.setattr(cancellation.log, "info", lambda message, *arguments: told.append(JOB_ID.get()))
    with about_job(job_id), cancellation_of(attempt, watch, check_limits=never_over, overdue=pytest.fail):
        store.cancel(job_id)
        until(watch.should_stop)
    assert told == [job_id]


def test_a_job_that_is_taken_over_is_asked_to_end(store, attempt, watch):
    with cancellation_of(attempt, watch, check_limits=never_over, overdue=pytest.fail):
        store.leave(attempt.job)
        store.claim("other")
        until(watch.should_stop)
    with pytest.raises(ClaimLostError, match="taken over"):
        attempt.require_whole()


def test_a_store_that_does_not_answer_for_a_while_ends_no_job(store, attempt, watch, job_id, monkeypatch, caplog):
    with monkeypatch.context() as patch, cancellation_of(attempt, watch, check_limits=never_over, overdue=pytest.fail):
        patch.setattr(store, "holding", lambda claim: 1 / 0)
        until(lambda: caplog.messages)
        assert not watch.should_stop()
        patch.undo()
        store.cancel(job_id)
        until(watch.should_stop)
    assert f"the store does not tell of job {job_id}: division by zero" in caplog.messages


def test_a_job_that_is_not_cancelled_is_left_at_once(attempt, watch, job_id):
    with cancellation_of(attempt, watch, check_limits=never_over, overdue=pytest.fail):
        pass
    assert not watch.should_stop()
    assert not any(thread.name == f"cancellation of {job_id}" for thread in threading.enumerate())


def test_what_goes_on_too_long_after_a_cancellation_is_overdue(store, attempt, watch, job_id, monkeypatch):
    monkeypatch.setattr(cancellation, "GRACE_S", 0.05)
    overdue = threading.Event()
    with cancellation_of(attempt, watch, check_limits=never_over, overdue=overdue.set):
        store.cancel(job_id)
        assert overdue.wait(60)
    assert store.state(job_id) is JobState.CANCELLING


def test_a_job_that_exceeds_a_limit_is_asked_to_end_and_the_limit_is_remembered(store, attempt, watch, monkeypatch):
    monkeypatch.setattr(cancellation, "LIMIT_POLL_S", 0.0)
    over = threading.Event()

    def check() -> None:
        if over.is_set():
            raise TimeLimitError("too long")

    with cancellation_of(attempt, watch, check_limits=check, overdue=pytest.fail):
        assert not watch.should_stop()
        over.set()
        until(watch.should_stop)
    assert str(watch.exceeded) == "too long"
    assert store.state(attempt.job.id) is JobState.RUNNING, "nobody cancelled"
