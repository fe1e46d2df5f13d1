"""The queue in the database that the worker listens on."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from server.jobs.job_moves import new_job
from server.stores.sql_store import SqlJobStore
from server.worker.job_queue import QUEUE, WORKFLOW, JobQueue, workflow_id


@pytest.fixture
def queue(engine):
    queue = JobQueue(engine)
    yield queue
    queue.close()


def waiting(engine) -> list[tuple[str, str, str]]:
    with engine.connect() as db:
        query = "SELECT workflow_uuid, name, queue_name FROM workflow_status ORDER BY created_at"
        return [tuple(row) for row in db.exec_driver_sql(query)]


def test_a_job_is_queued_with_the_row_of_its_workflow(engine, queue, spec):
    job = SqlJobStore(engine, queue.put).submit(spec, max_queued=1)[0]
    assert waiting(engine) == [(job.id, WORKFLOW, QUEUE)]


def test_a_resumed_job_gets_a_workflow_of_its_own(engine, queue, spec):
    store = SqlJobStore(engine, queue.put)
    job = store.submit(spec, max_queued=1)[0]
    store.cancel(job.id)
    store.resume(job.id, max_queued=1)
    assert [name for name, *_ in waiting(engine)] == [job.id, f"{job.id}.2"]


def test_a_transaction_that_is_rolled_back_queues_nothing(engine, queue, spec):
    def break_off(db: sa.Connection) -> None:
        queue.put(db, new_job(spec))
        raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"), engine.begin() as db:
        break_off(db)
    assert waiting(engine) == []


def test_the_name_of_a_workflow_is_the_jobs_and_its_attempt(spec):
    job = new_job(spec)
    assert [workflow_id(replace(job, attempt=attempt)) for attempt in (1, 2)] == [job.id, f"{job.id}.2"]
