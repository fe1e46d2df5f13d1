import pytest

from server.jobs.job_state import JobState
from server.service_errors import ClaimLostError
from server.stores.memory_store import MemoryJobStore
from server.worker.attempt import Attempt
from shrinkml.events import Event

NOTE = Event("epoch", "n", "search", "note")


@pytest.fixture
def store():
    return MemoryJobStore()


@pytest.fixture
def attempt(store, spec):
    store.submit(spec, max_queued=1)
    return Attempt(store, store.claim("w"), lambda write: write())


def test_what_is_told_is_in_the_store(attempt, store):
    attempt.log(NOTE)
    attempt.finish(JobState.SUCCEEDED)
    attempt.require_whole()
    assert [entry.event.key for entry in store.events(attempt.job.id)] == ["state/1", "state/2", "n", "state/3"]
    assert attempt.now().state is JobState.SUCCEEDED


def test_the_first_error_of_the_store_is_remembered(attempt, store):
    store.leave(attempt.job)
    for ask in (lambda: attempt.log(NOTE), attempt.require_held, attempt.state):
        with pytest.raises(ClaimLostError, match="nobody's"):
            ask()
    with pytest.raises(ClaimLostError) as caught:
        attempt.require_whole()
    assert caught.value is attempt.broken


def test_a_look_at_the_state_that_fails_is_no_loss(attempt, store, monkeypatch):
    monkeypatch.setattr(store, "holding", lambda claim: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        attempt.state()
    attempt.require_whole()


def test_an_end_is_recorded_by_what_the_worker_gives(store, spec):
    store.submit(spec, max_queued=1)
    told = []
    attempt = Attempt(store, store.claim("w"), told.append)
    attempt.conclude(NOTE)
    attempt.finish(JobState.SUCCEEDED)
    assert (len(told), attempt.now().state) == (2, JobState.RUNNING), "the worker leaves"
