"""A database of an earlier version, opened by this one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from server.home import database_url
from server.stores.schema import connect
from shrinkml.job import JobSpec
from tests.server.stores.migrations.earlier_databases import make


@pytest.fixture
def opened(tmp_path: Path, spec: JobSpec) -> Iterator[Callable[[str], sa.Engine]]:
    """Makes a database by a script and opens it."""
    engines = []

    def open_it(script: str) -> sa.Engine:
        make(script, tmp_path, spec)
        engines.append(connect(database_url(tmp_path)))
        return engines[-1]

    yield open_it
    for engine in engines:
        engine.dispose()
