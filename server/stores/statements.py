"""Statements that requests wait for, built once: SQLAlchemy builds one for longer than SQLite takes to execute it."""

import sqlalchemy as sa

from server.jobs.job_state import JobState
from server.jobs.tally import STAGE_FINISHED
from server.stores.schema import EVENTS, JOBS, QUEUE

JOB = sa.select(JOBS).where(JOBS.c.id == sa.bindparam("job_id"))
STATE = sa.select(JOBS.c.state).where(JOBS.c.id == sa.bindparam("job_id"))
OWNER = sa.select(JOBS.c.owner).where(JOBS.c.id == sa.bindparam("job_id"))
WITH_KEY = sa.select(JOBS).where(JOBS.c.idempotency_key == sa.bindparam("key"))
INSERT_JOB = sa.insert(JOBS).returning(JOBS.c.number)
INSERT_EVENT = sa.insert(EVENTS)

AT_WORK = [state for state in JobState if not state.ended]
# The version of the queue, the number of jobs that wait, and that of one owner's which wait or run (0 of nobody's): one
# statement sees all at the same moment.
ROOM = sa.select(
    QUEUE.c.version,
    sa.select(sa.func.count()).where(JOBS.c.state == JobState.QUEUED).scalar_subquery().label("n_queued"),
    sa.select(sa.func.count())
    .where(JOBS.c.state.in_(AT_WORK), JOBS.c.owner == sa.bindparam("owner"))
    .scalar_subquery()
    .label("n_owned"),
)
WAITING = sa.select(JOBS).where(JOBS.c.state == JobState.QUEUED)
COUNTS = sa.select(JOBS.c.state, sa.func.count()).group_by(JOBS.c.state)
EVALUATIONS = sa.select(sa.func.sum(JOBS.c.progress["evaluations_done"].as_integer()))
_STAGE = EVENTS.c.event["stage"].as_string()
STAGE_SECONDS = (
    sa.select(_STAGE, sa.func.coalesce(sa.func.sum(EVENTS.c.event["data"]["seconds"].as_float()), 0.0))
    .where(EVENTS.c.kind == STAGE_FINISHED)
    .group_by(_STAGE)
)
# Another job in the queue, if nobody else has put one there since it had the version `ticket`.
TAKE = sa.update(QUEUE).where(QUEUE.c.version == sa.bindparam("ticket")).values(version=QUEUE.c.version + 1)
