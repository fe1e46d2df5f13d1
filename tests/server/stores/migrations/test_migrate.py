"""From the tables of any earlier version to those of this one."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from server.home import database_url
from server.stores.migrations.migrate import FOLDER
from server.stores.schema import HEAD, METADATA, QUEUE, connect
from shrinkml.errors import ConfigError
from tests.server.stores.migrations.earlier_databases import FIRST, WITH_OWNERS, WITH_VERSIONS


def test_a_new_database_has_the_tables_that_the_stores_ask_for_and_no_others(engine):
    with engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), METADATA) == []


@pytest.mark.parametrize("script", [FIRST, WITH_VERSIONS, WITH_OWNERS], ids=["first", "versions", "owners"])
def test_an_earlier_database_gets_the_same_columns_and_is_then_left_as_it_is(opened, tmp_path, script):
    opened(script)
    again = connect(database_url(tmp_path))
    inspector = sa.inspect(again)
    for table in METADATA.tables.values():
        assert [column["name"] for column in inspector.get_columns(table.name)] == [c.name for c in table.columns]
    with again.connect() as db:
        assert db.execute(sa.select(QUEUE)).all() == [(1, 0)]
    again.dispose()


def test_the_last_migration_is_the_one_that_the_tables_are_of():
    assert ScriptDirectory(str(FOLDER)).get_current_head() == HEAD


def test_a_database_of_a_later_version_is_left_to_it(engine):
    with engine.begin() as db:
        db.exec_driver_sql("UPDATE alembic_version SET version_num = 'tomorrow'")
    with pytest.raises(ConfigError, match=r"of a later version of ShrinkML \(tomorrow\) than the one that runs here"):
        connect(engine.url.render_as_string(hide_password=False))
