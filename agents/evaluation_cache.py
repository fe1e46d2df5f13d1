"""No plan is ever evaluated twice: one SQLite file that several processes share and that outlives them.

A process claims a plan before it evaluates it; another one that wants the same plan waits for the result. The claim
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

from agents.process_identity import ProcessIdentity
from envs.problem import PlanEvaluator
from shrinkml.compression.plan import RankPlan

POLL_S = 0.05  # a small part of an evaluation
BUSY_TIMEOUT_S = 60.0  # transactions last milliseconds; only a stopped process could hold one longer
LEASE_S = 600.0  # how long a claim from another machine is honoured, as nobody can see whether that process lives

SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    context TEXT NOT NULL, plan TEXT NOT NULL, wer REAL NOT NULL, PRIMARY KEY (context, plan));
CREATE TABLE IF NOT EXISTS claims (
    context TEXT NOT NULL, plan TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, started INTEGER NOT NULL,
    claimed_at_s REAL NOT NULL, PRIMARY KEY (context, plan));
CREATE TABLE IF NOT EXISTS log (
    id INTEGER PRIMARY KEY, context TEXT NOT NULL, plan TEXT NOT NULL, ranks TEXT NOT NULL, wer REAL NOT NULL,
    pid INTEGER NOT NULL, finished_at_s REAL NOT NULL);
"""


class EvaluationCache:
    """The WER of every plan evaluated in one context, shared by all processes that open the same file.

    Args:
        path: the SQLite file; made with its folder when missing. On a local disk: WAL needs shared memory.
        context: everything besides the plan that decides the WER (model, data, decoder settings).
    """

    def __init__(self, path: Path, context: str) -> None:
        self._path = path
        self._context = hashlib.sha256(context.encode()).hexdigest()[:16]
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path)
        # SQLite syncs the disk when the last connection closes; one that stays open saves most of an operation's time.
        keeper = sqlite3.connect(path, check_same_thread=False)
        keeper.execute("SELECT COUNT(*) FROM results")
        weakref.finalize(self, keeper.close)

    def cached(self, evaluate: PlanEvaluator) -> PlanEvaluator:
        """`evaluate` with a memory: each plan is evaluated once, by whichever process asks first."""

        def evaluate_once(plan: RankPlan) -> float:
            while (wer := self.get(plan)) is None:
                if self._claim(plan):
                    try:
                        self._store(plan, evaluate(plan))
                    finally:
                        self._release(plan)
                else:
                    time.sleep(POLL_S)
            return wer

        return evaluate_once

    def get(self, plan: RankPlan) -> float | None:
        """The WER of `plan`; None when it has not been evaluated."""
        with _connected(self._path) as database:
            return self._known(database, plan)

    def evaluations_made(self) -> dict[str, int]:
        """Plan digest -> how many evaluations of it were finished: 1 for each, unless a lease ran out."""
        with _connected(self._path) as database:
            rows = database.execute("SELECT plan, COUNT(*) FROM log WHERE context = ? GROUP BY plan", (self._context,))
            return dict(rows.fetchall())

    def _known(self, database: sqlite3.Connection, plan: RankPlan) -> float | None:
        row = database.execute("SELECT wer FROM results WHERE context = ? AND plan = ?", self._key(plan)).fetchone()
        return None if row is None else float(row[0])

    def _claim(self, plan: RankPlan) -> bool:
        """Whether `plan` is now this process's to evaluate: not known, and not claimed by a living process."""
        me = ProcessIdentity.of_this_process()
        with _connected(self._path) as database, _transaction(database):
            if self._known(database, plan) is not None or self._is_claimed(database, plan):
                return False
            database.execute(
                "INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?, ?, ?)",
                (*self._key(plan), me.host, me.pid, me.started, time.time()),
            )
        return True

    def _is_claimed(self, database: sqlite3.Connection, plan: RankPlan) -> bool:
        row = database.execute(
            "SELECT host, pid, started, claimed_at_s FROM claims WHERE context = ? AND plan = ?", self._key(plan)
        ).fetchone()
        if row is None:
            return False
        owner, claimed_at_s = ProcessIdentity(*row[:3]), row[3]
        return owner.is_alive() if owner.is_local else time.time() < claimed_at_s + LEASE_S

    def _store(self, plan: RankPlan, wer: float) -> None:
        ranks = json.dumps(plan.to_json())
        with _connected(self._path) as database, _transaction(database):
            database.execute("INSERT OR IGNORE INTO results VALUES (?, ?, ?)", (*self._key(plan), wer))
            database.execute(
                "INSERT INTO log (context, plan, ranks, wer, pid, finished_at_s) VALUES (?, ?, ?, ?, ?, ?)",
                (*self._key(plan), ranks, wer, os.getpid(), time.time()),
            )

    def _release(self, plan: RankPlan) -> None:
        with _connected(self._path) as database:
            database.execute(
                "DELETE FROM claims WHERE context = ? AND plan = ? AND pid = ?", (*self._key(plan), os.getpid())
            )

    def _key(self, plan: RankPlan) -> tuple[str, str]:
        return self._context, plan.digest


def _create(path: Path) -> None:
    """Makes the database unless it is there. It is made aside: SQLite does not wait for a lock to switch to WAL."""
    if path.exists():
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
