"""The tokens of a server, for its operator: it need not be asked, nor be running."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from server.auth.sql_tokens import SqlTokens
from server.stores.schema import connect
from shrinkml.errors import ConfigError


@contextmanager
def tokens_in(url: str, *, make: bool = False) -> Iterator[SqlTokens]:
    """Give the tokens in the database at `url`.

    Args:
        url: of the server's database.
        make: make its file and the folder of that where they are missing.

    Raises:
        ConfigError: no database is there.
    """
    file = _file(url)
    if file is not None and make:
        file.parent.mkdir(parents=True, exist_ok=True)
    elif file is not None and not file.is_file():
        raise ConfigError(
            f"{file.parent} is no home of a server; --home or SHRINKML_HOME names the folder that `serve` has"
        )
    engine = connect(url)
    try:
        yield SqlTokens(engine)
    finally:
        engine.dispose()


def has_tokens(url: str) -> bool:
    """Return True where a token was ever made in the database at `url`; no file is made by asking."""
    file = _file(url)
    if file is not None and not file.is_file():
        return False
    with tokens_in(url) as tokens:
        return not tokens.is_empty()


def _file(url: str) -> Path | None:
    """Return the file of a database of SQLite."""
    parsed = sa.make_url(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None
