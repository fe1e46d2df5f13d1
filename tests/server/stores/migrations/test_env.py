import sqlalchemy as sa

from server.stores.migrations.migrate import migrate
from server.stores.schema import METADATA


def test_a_migration_that_is_rolled_back_leaves_nothing():
    engine = sa.create_engine("sqlite://", isolation_level="AUTOCOMMIT")
    with engine.connect() as db:
        db.exec_driver_sql("BEGIN")
        migrate(db)
        assert set(METADATA.tables) <= set(sa.inspect(db).get_table_names())
        db.exec_driver_sql("ROLLBACK")
        assert sa.inspect(db).get_table_names() == []
    engine.dispose()
