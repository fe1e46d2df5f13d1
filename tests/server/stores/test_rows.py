from dataclasses import replace

import pytest
import sqlalchemy as sa

from server.jobs.job_moves import new_job
from server.jobs.job_state import Failure, JobState, Stage, now
from server.service_errors import UnreadableJobError
from server.stores.rows import event_of, job_of, stored_key, values_of
from server.stores.schema import EVENTS, JOBS
from shrinkml.events import Progress


def filled(job):
    failed = job.moved_to(JobState.RUNNING).moved_to(JobState.FAILED, failure=Failure("plan", "search", "no", "less"))
    return replace(failed, owner="anna", starts=2, stage=Stage("search-1", now()), progress=Progress(0.5, 1, 2, None))


@pytest.mark.parametrize("change", [lambda job: job, filled], ids=["new", "filled"])
def test_a_job_comes_out_of_the_database_as_it_went_in(engine, spec, change):
    job = change(new_job(spec))
    with engine.begin() as db:
        number = db.execute(sa.insert(JOBS).values(**values_of(job), request_digest="")).inserted_primary_key[0]
        assert job_of(db.execute(sa.select(JOBS)).one()) == replace(job, number=number)


def test_keys_of_owners_differ_and_those_of_nobody_stay_as_they_are():
    assert stored_key(None, "k") == "k"
    assert len({stored_key(owner, key) for owner in (None, "a", "ab") for key in ("k", "bk", "a")}) == 9


def test_half_characters_that_an_older_version_stored_are_written_out(engine, spec):
    job = filled(new_job(spec))
    job = replace(job, failure=replace(job.failure, message="no \udcff"), stage=replace(job.stage, name="s\ud800"))
    event = {"kind": "epoch", "key": "k", "stage": "s", "message": "\ud800", "data": {"a\udfff": ["b\udfff", 1]}}
    with engine.begin() as db:
        db.execute(sa.insert(JOBS).values(**values_of(job), request_digest=""))
        row = {"job_id": job.id, "sequence": 1, "key": "k", "kind": "epoch", "at": now().isoformat(), "event": event}
        db.execute(sa.insert(EVENTS).values(row))
        read, entry = job_of(db.execute(sa.select(JOBS)).one()), event_of(db.execute(sa.select(EVENTS)).one())
    assert (read.failure.message, read.stage.name) == ("no \\udcff", "s\\ud800")
    assert (entry.event.message, entry.event.data) == ("\\ud800", {"a\\udfff": ["b\\udfff", 1]})


@pytest.mark.parametrize("event", [{}, [], None, {"kind": "epoch"}, "epoch"])
def test_an_event_that_cannot_be_read_is_told_by_job_and_number(engine, spec, event):
    job = new_job(spec)
    with engine.begin() as db:
        db.execute(sa.insert(JOBS).values(**values_of(job), request_digest=""))
        row = {"job_id": job.id, "sequence": 7, "key": "k", "kind": "epoch", "at": now().isoformat(), "event": event}
        db.execute(sa.insert(EVENTS).values(row))
        with pytest.raises(UnreadableJobError, match=f"event 7 of job {job.id} is stored in a way"):
            event_of(db.execute(sa.select(EVENTS)).one())
