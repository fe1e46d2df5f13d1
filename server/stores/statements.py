"""Statements that others wait for, built once: SQLAlchemy builds one for longer than SQLite takes to execute it."""

import sqlalchemy as sa

from server.jobs.job_state import JobState
from server.jobs.tally import STAGE_FINISHED
from server.stores.database_clock import SecondsNow
from server.stores.schema import EVENTS, JOBS, QUEUE, WORKERS

JOB = sa.select(JOBS).where(JOBS.c.id == sa.bindparam("job_id"))
STATE = sa.select(JOBS.c.state).where(JOBS.c.id == sa.bindparam("job_id"))
HELD = sa.select(JOBS.c.state, JOBS.c.worker, JOBS.c.claim).where(JOBS.c.id == sa.bindparam("job_id"))
OWNER = sa.select(JOBS.c.owner).where(JOBS.c.id == sa.bindparam("job_id"))
WITH_KEY = sa.select(JOBS).where(JOBS.c.idempotency_key == sa.bindparam("key"))
INSERT_JOB = sa.insert(JOBS).returning(JOBS.c.number)
INSERT_EVENT = sa.insert(EVENTS)

AT_WORK = [state for state in JobState if not state.ended]
BEGUN = [JobState.RUNNING, JobState.CANCELLING]
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

_silent_s = SecondsNow() - WORKERS.c.beat_at
BEAT = sa.update(WORKERS).where(WORKERS.c.id == sa.bindparam("worker")).values(beat_at=SecondsNow())
FIRST_BEAT = sa.insert(WORKERS).values(id=sa.bindparam("worker"), beat_at=SecondsNow())
FORGET_SILENT = sa.delete(WORKERS).where(_silent_s > sa.bindparam("silence_s", type_=sa.Double))
SILENCE = sa.select(sa.func.min(_silent_s))

_OTHERS = JOBS.alias("others")
_OF_SAME_OWNER = sa.func.coalesce(_OTHERS.c.owner, "") == sa.func.coalesce(JOBS.c.owner, "")
_N_RUNNING = (
    sa.select(sa.func.count()).select_from(_OTHERS).where(_OF_SAME_OWNER, _OTHERS.c.state.in_(BEGUN)).scalar_subquery()
)
_SERVED_AT = sa.select(sa.func.coalesce(sa.func.max(_OTHERS.c.claimed_at), 0.0)).where(_OF_SAME_OWNER).scalar_subquery()
_OLDEST = (
    sa.select(sa.func.min(_OTHERS.c.number)).where(_OF_SAME_OWNER, _OTHERS.c.state == JobState.QUEUED).scalar_subquery()
)
_LIVING = sa.select(WORKERS.c.id).where(_silent_s <= sa.bindparam("lease_s", type_=sa.Double))
_NOBODYS = sa.or_(JOBS.c.worker.is_(None), JOBS.c.worker == sa.bindparam("worker"), JOBS.c.worker.not_in(_LIVING))
# The jobs that a worker may take up, in order, and the versions of their rows.
CLAIMABLE = (
    sa.select(JOBS.c.id, JOBS.c.version)
    .where(sa.or_(JOBS.c.state == JobState.QUEUED, sa.and_(JOBS.c.state.in_(BEGUN), _NOBODYS)))
    .order_by(
        sa.case((JOBS.c.state == JobState.QUEUED, 1), else_=0),
        _N_RUNNING,
        _SERVED_AT,
        _OLDEST,
        JOBS.c.priority.desc(),
        JOBS.c.number,
    )
)
