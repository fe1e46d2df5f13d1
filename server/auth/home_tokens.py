"""The tokens of a home folder, for its operator: the server that works there need not be asked, nor be running."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.auth.sql_tokens import SqlTokens
from server.home import database, database_url
from server.stores.schema import connect
from shrinkml.errors import ConfigError


@contextmanager
def tokens_of(home: Path, *, make: bool = False) -> Iterator[SqlTokens]:
    """Give the tokens of `home`.

    Args:
        home: the server's folder.
        make: make the folder and its database where they are missing.

    Raises:
        ConfigError: no database is there.
    """
    if make:
        home.mkdir(parents=True, exist_ok=True)
    elif not database(home).is_file():
        raise ConfigError(f"{home} is no home of a server; --home or SHRINKML_HOME names the folder that `serve` has")
    engine = connect(database_url(home))
    try:
        yield SqlTokens(engine)
    finally:
        engine.dispose()


def has_tokens(home: Path) -> bool:
    """Return True where a token was ever made in `home`; nothing is made by asking."""
    if not database(home).is_file():
        return False
    with tokens_of(home) as tokens:
        return not tokens.is_empty()
