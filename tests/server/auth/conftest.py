"""A token store of every kind."""

from collections.abc import Callable

import pytest

from server.auth.memory_tokens import MemoryTokens
from server.auth.sql_tokens import SqlTokens
from server.auth.token_store import TokenStore

STORES: dict[str, Callable[[pytest.FixtureRequest], TokenStore]] = {
    "memory": lambda _: MemoryTokens(),
    "sqlite": lambda request: SqlTokens(request.getfixturevalue("sqlite")),
    "postgres": lambda request: SqlTokens(request.getfixturevalue("postgres")),
}


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def tokens(request: pytest.FixtureRequest) -> TokenStore:
    return STORES[request.param](request)
