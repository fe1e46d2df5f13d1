"""The queue between the server and its worker: DBOS workflows, one per attempt at a job.

The workflow's row is written in the transaction that queues the job, so neither is ever there without the other.
"""

import sqlalchemy as sa
from dbos import DBOSClient, EnqueueOptions, run_dbos_database_migrations

from server.jobs.job_state import Job

WORKFLOW = "compress"
QUEUE = "jobs"
APPLICATION = "shrinkml"
VERSION = "1"  # pinned: a worker takes up what an older release left, until what workflows do changes
EXECUTOR = (
    "worker"  # fixed: the worker that is started after a crash has the name of the dead one and inherits its jobs
)


class JobQueue:
    """Hands jobs to the worker that listens on the same database."""

    def __init__(self, engine: sa.Engine) -> None:
        run_dbos_database_migrations(engine.url.render_as_string(hide_password=False))
        self._client = DBOSClient(system_database_engine=engine, application_name=APPLICATION)

    def put(self, db: sa.Connection, job: Job) -> None:
        """Queues the present attempt at `job` in the transaction of `db`."""
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": workflow_id(job),
            "app_version": VERSION,
        }
        self._client.enqueue_in_transaction(db, options, job.id, job.attempt)

    def close(self) -> None:
        """Gives the connections back."""
        self._client.destroy()


def workflow_id(job: Job) -> str:
    """The job's id; a resumed job gets a new workflow, because DBOS keeps how the earlier one ended."""
    return job.id if job.attempt == 1 else f"{job.id}.{job.attempt}"
