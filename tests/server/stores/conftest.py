"""A job store of every kind, and a database of every kind."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from server.stores.job_store import JobStore
from server.stores.memory_store import MemoryJobStore
from server.stores.sql_store import SqlJobStore

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
STORES: dict[str, Callable[[pytest.FixtureRequest], JobStore]] = {
    "memory": lambda _: MemoryJobStore(),
    "sqlite": lambda request: SqlJobStore(request.getfixturevalue("sqlite")),
    "postgres": lambda request: SqlJobStore(request.getfixturevalue("postgres")),
}


@pytest.fixture(params=["memory", "sqlite", POSTGRES])
def store(request: pytest.FixtureRequest) -> JobStore:
    return STORES[request.param](request)


@pytest.fixture(params=["sqlite", POSTGRES])
def engine(request: pytest.FixtureRequest) -> sa.Engine:
    return request.getfixturevalue(request.param)
