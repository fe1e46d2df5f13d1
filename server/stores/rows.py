"""Jobs and events as rows of the database, and back.

What is read may have been written by an older version: half characters (lone surrogates), which no answer can hold, are
written out.
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from server.jobs.job_state import Failure, Job, JobState, Stage, Transition
from server.service_errors import UnreadableJobError
from shrinkml.events import Event, LoggedEvent, Progress
from shrinkml.job import JobSpec, printable


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
        "owner": job.owner,
        "worker": job.worker,
        "claim": job.claim,
    }


def stored_key(owner: str | None, idempotency_key: str) -> str:
    """The idempotency key of `owner` as the database holds it.

    The column was unique before jobs had owners, and SQLite takes that from no table that is there. So the owner stands
    in it, behind which comes what neither a name nor a header holds, a line break.
    """
    return idempotency_key if owner is None else f"{owner}\n{idempotency_key}"


def job_of(row: sa.Row[Any]) -> Job:
    """The job that `values_of` wrote.

    Raises:
        UnreadableJobError: what is stored is no job, or none that this version knows.
    """
    try:
        return _job_of(row)
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadableJobError(
            f"job {row.id} is stored in a way that this version of ShrinkML cannot read; submit it again. "
            f"What was found: {printable(str(error))}"
        ) from error


def event_of(row: sa.Row[Any]) -> LoggedEvent:
    """The entry of a job's log that `row` of `job_events` holds.

    Raises:
        UnreadableJobError: what is stored is no entry, or none that this version knows.
    """
    try:
        return LoggedEvent(row.sequence, datetime.fromisoformat(row.at), Event.from_json(_whole(row.event)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableJobError(
            f"event {row.sequence} of job {row.job_id} is stored in a way that this version of ShrinkML cannot read; "
            "`shrinkml delete` removes the job when it has ended"
        ) from error


def _whole(value: Any) -> Any:
    """The JSON `value`, all texts in it of whole characters."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {printable(key): _whole(item) for key, item in value.items()}
    return value


def _job_of(row: sa.Row[Any]) -> Job:
    return Job(
        id=row.id,
        number=row.number,
        spec=JobSpec.model_validate(row.spec),
        state=JobState(row.state),
        attempt=row.attempt,
        starts=row.starts,
        history=tuple(Transition(JobState(m["state"]), datetime.fromisoformat(m["at"])) for m in row.history),
        stage=row.stage and Stage(printable(row.stage["name"]), datetime.fromisoformat(row.stage["started_at"])),
        progress=row.progress and Progress(**row.progress),
        failure=row.failure and Failure(**_whole(row.failure)),
        owner=row.owner,
        worker=row.worker,
        claim=row.claim,
    )
