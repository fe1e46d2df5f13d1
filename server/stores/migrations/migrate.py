"""Bring a database to the tables of this version."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from shrinkml.errors import ConfigError

FOLDER = Path(__file__).parent


def migrate(db: sa.Connection) -> None:
    """Make the tables that this version has, in the transaction of `db`; what is in them is kept.

    Raises:
        ConfigError: a later version of ShrinkML made the tables.
    """
    config = _config(db)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    there = set(MigrationContext.configure(db).get_current_heads())
    if not there <= known:
        raise ConfigError(
            f"the database is of a later version of ShrinkML ({', '.join(sorted(there - known))}) than the one that "
            "runs here; install that one"
        )
    if not there and (revision := _before_migrations(db)) is not None:
        command.stamp(config, revision)
    command.upgrade(config, "head")


def _config(db: sa.Connection) -> Config:
    config = Config(attributes={"connection": db})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _before_migrations(db: sa.Connection) -> str | None:
    """Return the migration that a database without a record of any is at; None where it is new."""
    inspector = sa.inspect(db)
    if not inspector.has_table("jobs"):
        return None
    columns = {column["name"] for column in inspector.get_columns("jobs")}
    if "owner" in columns:
        return "owners"
    return "row_versions" if "version" in columns else "first_tables"
