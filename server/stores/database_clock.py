"""The clock of the database: one for all servers and workers, however their own are set."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

UNIX_EPOCH = 2440587.5  # as a Julian day


class SecondsNow(FunctionElement[float]):
    """The seconds since 1970 by the clock of the database, in a statement."""

    type = sa.Double()
    inherit_cache = True


@compiles(SecondsNow, "sqlite")
def _in_sqlite(*_: Any, **__: Any) -> str:
    return f"((julianday('now') - {UNIX_EPOCH}) * 86400.0)"


@compiles(SecondsNow, "postgresql")
def _in_postgres(*_: Any, **__: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"
