"""Databases on the server of Postgres that `make test-postgres` starts, each for one test."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

VARIABLE = "SHRINKML_TEST_POSTGRES"


@contextmanager
def fresh_database(template: str | None = None) -> Iterator[str]:
    """The address of a database that is empty, or a copy of the one called `template`; it is gone afterwards."""
    server = os.environ.get(VARIABLE)
    if server is None:
        pytest.skip("`make test-postgres` runs it, with a server of Postgres of its own")
    url, name = sa.make_url(server), f"test_{secrets.token_hex(6)}"
    control = sa.create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with control.connect() as db:
        db.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        yield url.set(database=name).render_as_string(hide_password=False)
        db.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    control.dispose()
