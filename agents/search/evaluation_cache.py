"""No part of a plan is ever judged twice: one SQLite file that several processes share and that outlives them.

A process claims a part of a plan before it judges it; another one that wants the same waits for the result. The claim
of a process that died is taken over at once. A result and its line in the log are written in one transaction, so the
log counts exactly the evaluations whose results were kept.
"""

import hashlib
import json
import os
import sqlite3
import time
import uuid
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from agents.search.process_identity import ProcessIdentity
from agents.search.racing import Errors, PartEvaluator
from shrinkml.plan.compression_plan import CompressionPlan

POLL_S = 0.05  # a small part of an evaluation
BUSY_TIMEOUT_S = 60.0  # transactions last milliseconds; only a stopped process could hold one longer
LEASE_S = 600.0  # how long a claim from another machine is honoured, as nobody can see whether that process lives

# Files of older versions hold tables named results, claims and log, of plans judged whole: they are left alone.
SCHEMA = """
CREATE TABLE IF NOT EXISTS part_results (
    context TEXT NOT NULL, plan TEXT NOT NULL, part INTEGER NOT NULL, errors TEXT NOT NULL,
    PRIMARY KEY (context, plan, part));
CREATE TABLE IF NOT EXISTS part_claims (
    context TEXT NOT NULL, plan TEXT NOT NULL, part INTEGER NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL,
    started INTEGER NOT NULL, claimed_at_s REAL NOT NULL, PRIMARY KEY (context, plan, part));
CREATE TABLE IF NOT EXISTS part_log (
    id INTEGER PRIMARY KEY, context TEXT NOT NULL, plan TEXT NOT NULL, part INTEGER NOT NULL, ranks TEXT NOT NULL,
    pid INTEGER NOT NULL, finished_at_s REAL NOT NULL);
"""
OF_PART = "context = ? AND plan = ? AND part = ?"

Key = tuple[str, str, int]


class EvaluationCache:
    """The word errors of every part of a plan judged in one context, shared by all processes that open the same file.

    Args:
        path: the SQLite file; made with its folder when missing. On a local disk: WAL needs shared memory.
        context: everything besides plan and part that decides the errors (model, data, decoder settings).
    """

    def __init__(self, path: Path, context: str) -> None:
        self._path = path
        self._context = hashlib.sha256(context.encode()).hexdigest()[:16]
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path)
        # SQLite syncs the disk when the last connection closes; one that stays open saves most of an operation's time.
        keeper = sqlite3.connect(path, check_same_thread=False)
        keeper.execute("SELECT COUNT(*) FROM part_results")
        weakref.finalize(self, keeper.close)

    def cached(self, evaluate: PartEvaluator) -> PartEvaluator:
        """`evaluate` with a memory: each part of a plan is judged once, by whichever process asks first."""

        def evaluate_once(plan: CompressionPlan, part: int) -> Errors:
            while (errors := self.get(plan, part)) is None:
                if self._claim(plan, part):
                    try:
                        self._store(plan, part, evaluate(plan, part))
                    except BaseException:
                        self._release(plan, part)
                        raise
                else:
                    time.sleep(POLL_S)
            return errors

        return evaluate_once

    def get(self, plan: CompressionPlan, part: int) -> Errors | None:
        """The word errors in each utterance of `part` under `plan`; None when it has not been judged."""
        with _connected(self._path) as database:
            return _known(database, self._key(plan, part))

    def evaluations_made(self) -> dict[tuple[str, int], int]:
        """Plan digest and part -> how many evaluations of it were finished: 1 for each, unless a lease ran out."""
        counted = "SELECT plan, part, COUNT(*) FROM part_log WHERE context = ? GROUP BY plan, part"
        with _connected(self._path) as database:
            return {(plan, part): n for plan, part, n in database.execute(counted, (self._context,))}

    def _claim(self, plan: CompressionPlan, part: int) -> bool:
        """Whether that is now this process's to judge: not known, and not claimed by a living process."""
        me, key = ProcessIdentity.of_this_process(), self._key(plan, part)
        with _connected(self._path) as database, _transaction(database):
            if _known(database, key) is not None or _is_claimed(database, key):
                return False
            database.execute(
                "INSERT OR REPLACE INTO part_claims VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*key, me.host, me.pid, me.started, time.time()),
            )
        return True

    def _store(self, plan: CompressionPlan, part: int, errors: Errors) -> None:
        """Keeps the result and gives the claim back."""
        key, ranks = self._key(plan, part), json.dumps(plan.to_json())
        with _connected(self._path) as database, _transaction(database):
            database.execute("INSERT OR IGNORE INTO part_results VALUES (?, ?, ?, ?)", (*key, json.dumps(errors)))
            database.execute(
                "INSERT INTO part_log (context, plan, part, ranks, pid, finished_at_s) VALUES (?, ?, ?, ?, ?, ?)",
                (*key, ranks, os.getpid(), time.time()),
            )
            _give_back(database, key)

    def _release(self, plan: CompressionPlan, part: int) -> None:
        with _connected(self._path) as database:
            _give_back(database, self._key(plan, part))

    def _key(self, plan: CompressionPlan, part: int) -> Key:
        return self._context, plan.digest, part


def _known(database: sqlite3.Connection, key: Key) -> Errors | None:
    row = database.execute(f"SELECT errors FROM part_results WHERE {OF_PART}", key).fetchone()
    return None if row is None else tuple(json.loads(row[0]))


def _is_claimed(database: sqlite3.Connection, key: Key) -> bool:
    row = database.execute(f"SELECT host, pid, started, claimed_at_s FROM part_claims WHERE {OF_PART}", key).fetchone()
    if row is None:
        return False
    owner, claimed_at_s = ProcessIdentity(*row[:3]), row[3]
    return owner.is_alive() if owner.is_local else time.time() < claimed_at_s + LEASE_S


def _give_back(database: sqlite3.Connection, key: Key) -> None:
    """Ends this process's claim."""
    database.execute(f"DELETE FROM part_claims WHERE {OF_PART} AND pid = ?", (*key, os.getpid()))


def _create(path: Path) -> None:
    """Makes the database unless it is there, and its tables unless an older version made it without.

    It is made aside: SQLite does not wait for a lock to switch to WAL.
    """
    if path.exists():
        with _connected(path) as database:
            database.executescript(SCHEMA)
        return
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with _connected(partial) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(SCHEMA)
        with suppress(FileExistsError):  # another process was faster
            os.link(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for one operation: none is ever shared between threads or inherited by a forked process."""
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = NORMAL")
        yield database


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Everything or nothing; IMMEDIATE, so that what was read still holds when it is written."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
