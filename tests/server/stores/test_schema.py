"""The tables of a new database, and of one that an earlier version made."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from server.auth.sql_tokens import SqlTokens
from server.home import database_url
from server.jobs.job_state import JobState
from server.service_errors import KeyReusedError
from server.stores.schema import JOBS, METADATA, QUEUE, connect
from server.stores.sql_store import SqlJobStore
from shrinkml.events import Event

# As the version before the stores had protocols made them (`.schema` of its jobs.sqlite).
EARLIER = """
CREATE TABLE jobs (
    number INTEGER NOT NULL, id VARCHAR(80) NOT NULL, spec JSON NOT NULL, state VARCHAR(16) NOT NULL,
    attempt INTEGER NOT NULL, starts INTEGER NOT NULL, history JSON NOT NULL, stage JSON, progress JSON, failure JSON,
    idempotency_key VARCHAR(255), request_digest VARCHAR(64) NOT NULL,
    PRIMARY KEY (number), UNIQUE (id), UNIQUE (idempotency_key)
);
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE TABLE job_events (
    job_id VARCHAR NOT NULL, sequence INTEGER NOT NULL, "key" VARCHAR(255) NOT NULL, kind VARCHAR(32) NOT NULL,
    at VARCHAR(40) NOT NULL, event JSON NOT NULL,
    PRIMARY KEY (job_id, sequence), UNIQUE (job_id, "key"), FOREIGN KEY(job_id) REFERENCES jobs (id)
);
"""
# As the version before jobs had owners made them.
WITHOUT_OWNERS = """
CREATE TABLE jobs (
    number INTEGER NOT NULL, id VARCHAR(80) NOT NULL, spec JSON NOT NULL, state VARCHAR(16) NOT NULL,
    attempt INTEGER NOT NULL, starts INTEGER NOT NULL, history JSON NOT NULL, stage JSON, progress JSON, failure JSON,
    idempotency_key VARCHAR(255), request_digest VARCHAR(64) NOT NULL, version INTEGER DEFAULT '0' NOT NULL,
    PRIMARY KEY (number), UNIQUE (id), UNIQUE (idempotency_key)
);
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE TABLE job_queue (id INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (id));
CREATE TABLE job_events (
    job_id VARCHAR(80) NOT NULL, sequence INTEGER NOT NULL, "key" VARCHAR(255) NOT NULL, kind VARCHAR(32) NOT NULL,
    at VARCHAR(40) NOT NULL, event JSON NOT NULL,
    PRIMARY KEY (job_id, sequence), UNIQUE (job_id, "key"), FOREIGN KEY(job_id) REFERENCES jobs (id)
);
INSERT INTO job_queue VALUES (1, 0);
"""
MOMENT = "2026-05-01T12:00:00.123000+00:00"
EVENT = {"kind": "state", "key": "state/1", "stage": "", "message": "The job is queued.", "data": {"state": "queued"}}


@pytest.fixture(params=[EARLIER, WITHOUT_OWNERS], ids=["earlier", "without-owners"])
def earlier_home(request, tmp_path, spec):
    """A home folder with one job that failed, submitted with the key "k"."""
    database = sqlite3.connect(tmp_path / "jobs.sqlite")
    database.executescript(request.param)
    history = [{"state": state, "at": MOMENT} for state in ("queued", "running", "failed")]
    failure = {"code": "plan", "stage": "search", "message": "no plan fits", "hint": "ask for less"}
    row = ("old-1", spec.model_dump_json(), "failed", 1, 0, json.dumps(history), json.dumps(failure), "k", "0" * 64)
    database.execute(
        "INSERT INTO jobs (id, spec, state, attempt, starts, history, failure, idempotency_key, request_digest) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )
    for sequence, state in enumerate(("queued", "running", "failed"), 1):
        event = {**EVENT, "key": f"state/{sequence}", "data": {"state": state}, "progress": None}
        database.execute(
            "INSERT INTO job_events VALUES (?, ?, ?, ?, ?, ?)",
            ("old-1", sequence, f"state/{sequence}", "state", MOMENT, json.dumps(event)),
        )
    database.commit()
    database.close()
    return tmp_path


def test_a_database_of_an_earlier_version_opens_and_its_jobs_go_on(earlier_home, spec):
    engine = connect(database_url(earlier_home))
    store = SqlJobStore(engine)
    assert store.get("old-1").failure.message == "no plan fits"
    assert store.owner("old-1") is None
    assert SqlTokens(engine).is_empty(), "nobody needs a token there"
    assert len(store.events("old-1")) == 3
    assert store.resume("old-1", max_queued=1).attempt == 2
    assert store.start("old-1", 2).state is JobState.RUNNING
    store.log("old-1", Event("epoch", "n", "search", "note"))
    assert [entry.sequence for entry in store.events("old-1")] == [1, 2, 3, 4, 5, 6]
    assert store.submit(spec, max_queued=1, owner="anna")[0].number == 2
    assert [job.id for job in store.page(limit=9)][1:] == ["old-1"]
    assert len(store.page(limit=9, owner="anna")) == 1
    engine.dispose()


def test_a_key_of_an_earlier_version_still_names_its_job(earlier_home, spec):
    engine = connect(database_url(earlier_home))
    store = SqlJobStore(engine)
    assert store.submitted(spec, idempotency_key="k").id == "old-1"
    with pytest.raises(KeyReusedError, match="belongs to job old-1"):
        store.submitted(spec.model_copy(update={"seed": 1}), idempotency_key="k")
    assert store.submit(spec, max_queued=1, idempotency_key="k", owner="anna")[1]
    engine.dispose()


def test_a_database_that_is_opened_again_is_left_as_it_is(earlier_home):
    for _ in range(2):
        engine = connect(database_url(earlier_home))
        columns = [column["name"] for column in sa.inspect(engine).get_columns(JOBS.name)]
        assert columns == [column.name for column in JOBS.columns]
        with engine.connect() as db:
            assert db.execute(sa.select(QUEUE)).all() == [(1, 0)]
        engine.dispose()


def test_threads_that_open_a_new_database_at_once_find_all_tables(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(connect, [database_url(tmp_path)] * 4))
    for engine in engines:
        assert set(sa.inspect(engine).get_table_names()) == set(METADATA.tables)
        engine.dispose()


def test_readers_are_not_held_up_by_a_writer(engine):
    with engine.connect() as db:
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert db.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
