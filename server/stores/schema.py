"""The database: its tables, and an engine that opens it."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

MOST_INTEGER = 2**63 - 1  # that a column holds
BUSY_TIMEOUT_MS = 30_000  # how long a writer waits for another one; SQLite's own default fails after 5 s
HEAD = "uploads"  # the last migration: see server/stores/migrations/versions
MIGRATING = 0x5368_4D4C  # the lock of Postgres under which one process at a time migrates
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts up integer keys alone, and all have 64 bits

METADATA = sa.MetaData()

JOBS = sa.Table(
    "jobs",
    METADATA,
    sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(80), unique=True, nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("starts", sa.Integer, nullable=False),
    sa.Column("history", sa.JSON, nullable=False),
    sa.Column("stage", sa.JSON),
    sa.Column("progress", sa.JSON),
    sa.Column("failure", sa.JSON),
    sa.Column("idempotency_key", sa.String(320), unique=True),  # see `server.stores.rows.stored_key`
    sa.Column("request_digest", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False, server_default="0"),  # changes of this row and of the job's log
    sa.Column("owner", sa.String(64)),
    sa.Column("worker", sa.String(64)),  # that has the job
    sa.Column("claim", sa.Integer, nullable=False, server_default="0"),  # times that the job was taken up
    sa.Column("claimed_at", sa.Double),  # by the database's clock, the last time
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
)

EVENTS = sa.Table(
    "job_events",
    METADATA,
    sa.Column("job_id", sa.String(80), sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("sequence", NUMBER, primary_key=True),
    sa.Column("key", sa.String(255), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("event", sa.JSON, nullable=False),
    sa.UniqueConstraint("job_id", "key"),
)

TOKENS = sa.Table(
    "tokens",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(16), unique=True, nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("digest", sa.String(64), unique=True, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("max_jobs", sa.Integer),
    sa.Column("revoked_at", sa.String(40)),
    sa.Column("max_bytes", sa.BigInteger),
)

UPLOADS = sa.Table(
    "uploads",
    METADATA,
    sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(16), unique=True, nullable=False),
    sa.Column("key", sa.String(160), unique=True, nullable=False),  # owner, kind and checksum
    sa.Column("owner", sa.String(64)),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("max_bytes", sa.BigInteger),
    sa.Column("taken", sa.BigInteger, nullable=False),  # bytes that count against what the owner may take
    sa.Column("problem", sa.Text),
    sa.Column("contents", sa.JSON),
)

ENDPOINTS = sa.Table(
    "webhook_endpoints",
    METADATA,
    sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(16), unique=True, nullable=False),
    sa.Column("owner", sa.String(64)),
    sa.Column("url", sa.String(2048), nullable=False),
    sa.Column("secret", sa.String(100), nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
)

DELIVERIES = sa.Table(
    "webhook_deliveries",
    METADATA,
    sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
    sa.Column("endpoint_id", sa.String(16), sa.ForeignKey("webhook_endpoints.id"), nullable=False, index=True),
    sa.Column("job_id", sa.String(80), nullable=False),  # which may be forgotten before
    sa.Column("type", sa.String(32), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due", sa.Double, nullable=False),  # seconds since 1970
    sa.Column("settled_at", sa.String(40)),
    sa.Column("problem", sa.String(500)),
    sa.Index("ix_webhook_deliveries_due", "state", "due"),
    sqlite_autoincrement=True,  # numbers name messages: none comes again
)

# One row; its version counts how often a job was queued.
QUEUE = sa.Table(
    "job_queue",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
)

WORKERS = sa.Table(
    "workers",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("beat_at", sa.Double, nullable=False),  # its last sign of life, by the database's clock
)


def connect(url: str) -> sa.Engine:
    """Return an engine for the database at `url`, of SQLite or Postgres, brought to the tables of this version.

    On SQLite the write-ahead log lets readers read while one process writes. A transaction that begins with a write
    waits for the write of another one; one that reads first would fail instead.

    Raises:
        ConfigError: a later version of ShrinkML made the tables.
    """
    engine = _engine(sa.make_url(url))
    try:
        if not _is_at_head(engine):
            _migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    # A connection that was cut while nobody used it is replaced before it is used.
    return sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)


def _is_at_head(engine: sa.Engine) -> bool:
    with engine.connect() as db:
        if not sa.inspect(db).has_table("alembic_version"):
            return False
        return db.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == [HEAD]


def _migrate(engine: sa.Engine) -> None:
    """Bring the tables to this version; of processes that come at once the others wait."""
    from server.stores.migrations.migrate import migrate  # what it imports takes long

    with engine.execution_options(preparing=True).begin() as db:
        if db.dialect.name == "postgresql":
            db.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATING)))
        migrate(db)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin transactions too late; `_begin_sqlite` does it
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    # Of two processes that open a new database at once, the second waits for the tables of the first.
    preparing = connection.get_execution_options().get("preparing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if preparing else "BEGIN")
