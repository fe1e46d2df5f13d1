"""A cache that outlives a job: what was measured of a model on certain speech is never measured again.

Values are JSON, kept by kind and key in one SQLite file that several processes may use at once. A key says all that its
value depends on. The file may be removed at any time.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

BUSY_TIMEOUT_S = 60.0
ASKED_AT_ONCE = 500  # keys in one statement; SQLite takes some thousands
SCHEMA = "CREATE TABLE IF NOT EXISTS facts (kind TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (kind, key))"


def user_cache() -> Path:
    """The file of the user's own cache: $XDG_CACHE_HOME/shrinkml/facts.sqlite, ~/.cache by default."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "shrinkml" / "facts.sqlite"


def key_of(*parts: object) -> str:
    """A key of all that a value depends on."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


class LastingCache:
    """JSON values by kind and key; without a file, it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        """The cache in the file `path`, which is made when the first value is put into it."""
        self._path = path

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Any]:
        """Key -> value, of those of `keys` that are known."""
        if self._path is None or not self._path.exists():
            return {}
        found: dict[str, Any] = {}
        with self._connected(self._path) as database:
            for start in range(0, len(keys), ASKED_AT_ONCE):
                some = keys[start : start + ASKED_AT_ONCE]
                marks = ", ".join("?" * len(some))
                asked = f"SELECT key, value FROM facts WHERE kind = ? AND key IN ({marks})"
                found |= {key: json.loads(value) for key, value in database.execute(asked, (kind, *some))}
        return found

    def keep(self, kind: str, values: Mapping[str, Any]) -> None:
        """Remember `values`, key -> value."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        rows = [(kind, key, json.dumps(value)) for key, value in values.items()]
        with self._connected(self._path) as database:
            database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", rows)

    @contextmanager
    def _connected(self, path: Path) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as database, database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(SCHEMA)
            yield database
