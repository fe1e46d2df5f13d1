"""An evaluation store in one SQLite file, which the processes of a machine share and which outlives them.

A claim is granted by compare-and-set, a row inserted where there was none or changed where it is still as it was read,
and holds only if the result is still unknown afterwards: no lock has to outlast a statement. A result, its line in the
log and the end of its claim are one transaction, so the log counts exactly the evaluations whose results were kept.
"""

import hashlib
import json
import logging
import os
import sqlite3
import time
import uuid
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from agents.search.evaluations.claim import Claim
from agents.search.evaluations.evaluation_store import PlanPart
from agents.search.evaluations.process_identity import ProcessIdentity
from agents.search.racing import Errors

log = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 60.0  # statements last milliseconds; only a stopped process could hold one up longer

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
OF_OWNER = "host = ? AND pid = ? AND started = ?"

Key = tuple[str, str, int]


class SqliteEvaluations:
    """Implements `agents.search.evaluations.evaluation_store.EvaluationStore` in a file."""

    def __init__(self, path: Path) -> None:
        """The store in the file `path`, made with its folder when missing. On a local disk: WAL needs shared memory."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path)
        # SQLite syncs the disk when the last connection closes; one that stays open saves most of an operation's time.
        keeper = sqlite3.connect(path, check_same_thread=False)
        keeper.execute("SELECT COUNT(*) FROM part_results")
        weakref.finalize(self, keeper.close)

    def get(self, asked: PlanPart) -> Errors | None:
        """The word errors of `asked`; see `EvaluationStore.get`."""
        with _connected(self._path) as database:
            return _known(database, _key(asked))

    def claim(self, asked: PlanPart, owner: ProcessIdentity) -> bool:
        """True where `asked` is now for `owner` to judge; see `EvaluationStore.claim`."""
        key, claim = _key(asked), Claim.of(owner)
        with _connected(self._path) as database:
            if not _inserted(database, key, claim) and not _taken_over(database, key, claim):
                return False
            if _known(database, key) is None:
                return True
            _end_claim(database, key, owner)  # it was stored, and the claim before this one ended, a moment ago
            return False

    def renew(self, asked: PlanPart, owner: ProcessIdentity) -> None:
        """Begin the lease of `owner`'s claim anew; see `EvaluationStore.renew`."""
        renewed = f"UPDATE part_claims SET claimed_at_s = ? WHERE {OF_PART} AND {OF_OWNER}"
        with _connected(self._path) as database:
            database.execute(renewed, (time.time(), *_key(asked), *_row(owner)))

    def store(self, asked: PlanPart, owner: ProcessIdentity, errors: Errors) -> None:
        """Keep the `errors` of `asked` and end `owner`'s claim; see `EvaluationStore.store`."""
        key, ranks = _key(asked), json.dumps(asked.plan.to_json())
        with _connected(self._path) as database, _transaction(database):
            database.execute("INSERT OR IGNORE INTO part_results VALUES (?, ?, ?, ?)", (*key, json.dumps(errors)))
            database.execute(
                "INSERT INTO part_log (context, plan, part, ranks, pid, finished_at_s) VALUES (?, ?, ?, ?, ?, ?)",
                (*key, ranks, owner.pid, time.time()),
            )
            _end_claim(database, key, owner)

    def release(self, asked: PlanPart, owner: ProcessIdentity) -> None:
        """End `owner`'s claim; see `EvaluationStore.release`."""
        with _connected(self._path) as database:
            _end_claim(database, _key(asked), owner)

    def evaluations_made(self, context: str) -> dict[tuple[str, int], int]:
        """Plan digest and part -> how many evaluations of it were finished."""
        counted = "SELECT plan, part, COUNT(*) FROM part_log WHERE context = ? GROUP BY plan, part"
        with _connected(self._path) as database:
            return {(plan, part): n for plan, part, n in database.execute(counted, (_short(context),))}


def _key(asked: PlanPart) -> Key:
    return _short(asked.context), asked.plan.digest, asked.part


def _short(context: str) -> str:
    """The digest of `context` by which its rows are known."""
    return hashlib.sha256(context.encode()).hexdigest()[:16]


def _row(owner: ProcessIdentity) -> tuple[str, int, int]:
    return owner.host, owner.pid, owner.started


def _known(database: sqlite3.Connection, key: Key) -> Errors | None:
    row = database.execute(f"SELECT errors FROM part_results WHERE {OF_PART}", key).fetchone()
    return None if row is None else tuple(json.loads(row[0]))


def _inserted(database: sqlite3.Connection, key: Key, claim: Claim) -> bool:
    """True where nobody had claimed it, and `claim` is there now."""
    insert = "INSERT OR IGNORE INTO part_claims VALUES (?, ?, ?, ?, ?, ?, ?)"
    return database.execute(insert, (*key, *_row(claim.owner), claim.claimed_at_s)).rowcount == 1


def _taken_over(database: sqlite3.Connection, key: Key, claim: Claim) -> bool:
    """True where the claim that was there was abandoned, and `claim` is in its place."""
    row = database.execute(f"SELECT host, pid, started, claimed_at_s FROM part_claims WHERE {OF_PART}", key).fetchone()
    if row is None:
        return False
    held = Claim(ProcessIdentity(*row[:3]), row[3])
    if not held.is_abandoned:
        return False
    change = f"UPDATE part_claims SET host = ?, pid = ?, started = ?, claimed_at_s = ? WHERE {OF_PART} AND {OF_OWNER}"
    values = (*_row(claim.owner), claim.claimed_at_s, *key, *_row(held.owner), held.claimed_at_s)
    if database.execute(f"{change} AND claimed_at_s = ?", values).rowcount == 0:
        return False
    log.warning("part %d of %s is taken over from %s", key[2], key[1], held.owner)
    return True


def _end_claim(database: sqlite3.Connection, key: Key, owner: ProcessIdentity) -> None:
    database.execute(f"DELETE FROM part_claims WHERE {OF_PART} AND {OF_OWNER}", (*key, *_row(owner)))


def _create(path: Path) -> None:
    """Make the database unless it is there, and its tables unless an older version made it without.

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
    """Everything or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
