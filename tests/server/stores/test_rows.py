from dataclasses import replace

import pytest
import sqlalchemy as sa

from server.jobs.job_moves import new_job
from server.jobs.job_state import Failure, JobState, Stage, now
from server.stores.rows import job_of, values_of
from server.stores.schema import JOBS
from shrinkml.events import Progress


def filled(job):
    failed = job.moved_to(JobState.RUNNING).moved_to(JobState.FAILED, failure=Failure("plan", "search", "no", "less"))
    return replace(failed, starts=2, stage=Stage("search-1", now()), progress=Progress(0.5, 1, 2, None))


@pytest.mark.parametrize("change", [lambda job: job, filled], ids=["new", "filled"])
def test_a_job_comes_out_of_the_database_as_it_went_in(engine, spec, change):
    job = change(new_job(spec))
    with engine.begin() as db:
        number = db.execute(sa.insert(JOBS).values(**values_of(job), request_digest="")).inserted_primary_key[0]
        assert job_of(db.execute(sa.select(JOBS)).one()) == replace(job, number=number)
