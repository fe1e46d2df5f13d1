import pytest

from server.jobs.job_state import JobState
from server.log_context import JOB_ID
from server.stores.memory_store import MemoryJobStore
from server.worker import job_loop
from server.worker.job_loop import next_job, run_jobs


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(job_loop, "POLL_S", 0.01)
    monkeypatch.setattr(job_loop, "OUTAGE_POLL_S", 0.01)
    return MemoryJobStore()


def test_jobs_are_run_one_after_the_other_until_one_cannot_be_written(store, spec):
    ids = [store.submit(spec, max_queued=9)[0].id for _ in range(3)]
    at_work, seen = [], []

    def run(job):
        assert ([job], JOB_ID.get()) == (at_work, job.id)
        seen.append(job.id)
        if len(seen) == 3:
            raise OSError("no store")
        store.finish(job, JobState.SUCCEEDED)

    with pytest.raises(OSError, match="no store"):
        run_jobs(store, "w", run, at_work)
    assert (seen, at_work) == (ids, [])


def test_a_store_that_is_away_is_asked_again_and_told_of_once(store, spec, monkeypatch, caplog):
    job_id = store.submit(spec, max_queued=9)[0].id
    claim, tries = store.claim, []

    def fail_first(worker):
        tries.append(worker)
        if len(tries) < 4:
            raise OSError("no answer")
        return claim(worker)

    monkeypatch.setattr(store, "claim", fail_first)
    assert next_job(store, "w").id == job_id
    assert caplog.messages == ["the store gives no jobs: no answer"]
