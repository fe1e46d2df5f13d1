"""Jobs as rows of the database, and back."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from server.jobs.job_state import Failure, Job, JobState, Stage, Transition
from shrinkml.events import Progress
from shrinkml.job import JobSpec


def values_of(job: Job) -> dict[str, Any]:
    """The columns of `jobs` that a `Job` fills; the database gives the number."""
    stage = job.stage and {"name": job.stage.name, "started_at": job.stage.started_at.isoformat()}
    return {
        "id": job.id,
        "spec": job.spec.model_dump(mode="json"),
        "state": job.state,
        "attempt": job.attempt,
        "starts": job.starts,
        "history": [{"state": moved.state, "at": moved.at.isoformat()} for moved in job.history],
        "stage": stage,
        "progress": job.progress and asdict(job.progress),
        "failure": job.failure and asdict(job.failure),
    }


def job_of(row: sa.Row[Any]) -> Job:
    """The job that `values_of` wrote."""
    return Job(
        id=row.id,
        number=row.number,
        spec=JobSpec.model_validate(row.spec),
        state=JobState(row.state),
        attempt=row.attempt,
        starts=row.starts,
        history=tuple(Transition(JobState(m["state"]), datetime.fromisoformat(m["at"])) for m in row.history),
        stage=row.stage and Stage(row.stage["name"], datetime.fromisoformat(row.stage["started_at"])),
        progress=row.progress and Progress(**row.progress),
        failure=row.failure and Failure(**row.failure),
    )
