"""Databases as earlier versions made them (`.schema` of their jobs.sqlite), each with one job that failed."""

import json
import sqlite3
from pathlib import Path

from shrinkml.job import JobSpec

# Before the stores had protocols.
FIRST = """
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
# Before jobs had owners.
WITH_VERSIONS = """
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
# Before workers had claims. (The tables of DBOS, which stood beside these, nobody read but itself.)
WITH_OWNERS = """
CREATE TABLE jobs (
    number INTEGER NOT NULL, id VARCHAR(80) NOT NULL, spec JSON NOT NULL, state VARCHAR(16) NOT NULL,
    attempt INTEGER NOT NULL, starts INTEGER NOT NULL, history JSON NOT NULL, stage JSON, progress JSON, failure JSON,
    idempotency_key VARCHAR(320), request_digest VARCHAR(64) NOT NULL, version INTEGER DEFAULT '0' NOT NULL,
    owner VARCHAR(64), PRIMARY KEY (number), UNIQUE (id), UNIQUE (idempotency_key)
);
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE TABLE tokens (
    number INTEGER NOT NULL, id VARCHAR(16) NOT NULL, owner VARCHAR(64) NOT NULL, role VARCHAR(16) NOT NULL,
    digest VARCHAR(64) NOT NULL, created_at VARCHAR(40) NOT NULL, max_jobs INTEGER, revoked_at VARCHAR(40),
    PRIMARY KEY (number), UNIQUE (id), UNIQUE (digest)
);
CREATE TABLE job_queue (id INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (id));
CREATE TABLE job_events (
    job_id VARCHAR(80) NOT NULL, sequence INTEGER NOT NULL, "key" VARCHAR(255) NOT NULL, kind VARCHAR(32) NOT NULL,
    at VARCHAR(40) NOT NULL, event JSON NOT NULL,
    PRIMARY KEY (job_id, sequence), UNIQUE (job_id, "key"), FOREIGN KEY(job_id) REFERENCES jobs (id)
);
INSERT INTO job_queue VALUES (1, 0);
INSERT INTO tokens VALUES (1, '1f2e3d4c', 'anna', 'user', 'd', '2026-05-01T12:00:00.123000+00:00', NULL, NULL);
"""
MOMENT = "2026-05-01T12:00:00.123000+00:00"
EVENT = {"kind": "state", "key": "state/1", "stage": "", "message": "The job is queued.", "data": {"state": "queued"}}
COLUMNS = "id, spec, state, attempt, starts, history, failure, idempotency_key, request_digest"


def make(script: str, home: Path, spec: JobSpec) -> None:
    """Makes the database in `home` by `script`, with a job that failed, "old-1" (key "k"), and "old-2", which runs."""
    database = sqlite3.connect(home / "jobs.sqlite")
    database.executescript(script)
    failure = json.dumps({"code": "plan", "stage": "search", "message": "no plan fits", "hint": "ask for less"})
    for job_id, states, why, key in (
        ("old-1", ("queued", "running", "failed"), failure, "k"),
        ("old-2", ("queued", "running"), "null", None),
    ):
        history = json.dumps([{"state": state, "at": MOMENT} for state in states])
        row = (job_id, spec.model_dump_json(), states[-1], 1, 0, history, why, key, "0" * 64)
        database.execute(f"INSERT INTO jobs ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        for sequence, state in enumerate(states, 1):
            event = {**EVENT, "key": f"state/{sequence}", "data": {"state": state}, "progress": None}
            database.execute(
                "INSERT INTO job_events VALUES (?, ?, ?, ?, ?, ?)",
                (job_id, sequence, f"state/{sequence}", "state", MOMENT, json.dumps(event)),
            )
    database.commit()
    database.close()
