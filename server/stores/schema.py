"""The database: its tables, and an engine that opens it."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

MOST_INTEGER = 2**63 - 1  # that a column holds
BUSY_TIMEOUT_MS = 30_000  # how long a writer waits for another one; SQLite's own default fails after 5 s

METADATA = sa.MetaData()

JOBS = sa.Table(
    "jobs",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(80), unique=True, nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("starts", sa.Integer, nullable=False),
    sa.Column("history", sa.JSON, nullable=False),
    sa.Column("stage", sa.JSON),
    sa.Column("progress", sa.JSON),
    sa.Column("failure", sa.JSON),
    sa.Column("idempotency_key", sa.String(255), unique=True),
    sa.Column("request_digest", sa.String(64), nullable=False),
)

EVENTS = sa.Table(
    "job_events",
    METADATA,
    sa.Column("job_id", sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(255), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("event", sa.JSON, nullable=False),
    sa.UniqueConstraint("job_id", "key"),
)


def connect(url: str) -> sa.Engine:
    """An engine for the database at `url`, its tables made if they are missing.

    On SQLite the write-ahead log lets readers read while one process writes, and a connection with the execution option
    `immediate` takes the write lock when its transaction begins, so that what it reads stays true until it commits.
    """
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    METADATA.create_all(engine.execution_options(immediate=True))
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin transactions too late; `_begin_sqlite` does it
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
