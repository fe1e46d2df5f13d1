"""The tables of a new database, and the engine that opens it; earlier ones are tested with the migrations."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from server.home import database_url
from server.stores.schema import EVENTS, HEAD, JOBS, METADATA, MOST_INTEGER, QUEUE, connect
from tests.server.postgres_databases import fresh_database


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def new_url(request, tmp_path):
    """The address of a database in which nothing is."""
    if request.param == "sqlite":
        yield database_url(tmp_path)
    else:
        with fresh_database() as url:
            yield url


def test_threads_that_open_a_new_database_at_once_find_all_tables(new_url):
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(connect, [new_url] * 4))
    for engine in engines:
        assert set(sa.inspect(engine).get_table_names()) == {*METADATA.tables, "alembic_version"}
        with engine.connect() as db:
            assert db.execute(sa.select(QUEUE)).all() == [(1, 0)]
            assert db.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == [HEAD]
        engine.dispose()


def test_readers_are_not_held_up_by_a_writer(sqlite):
    with sqlite.connect() as db:
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert db.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


def test_numbers_of_64_bits_can_be_asked_for(engine):
    with engine.connect() as db:
        assert db.execute(sa.select(JOBS).where(JOBS.c.number < MOST_INTEGER)).all() == []
        assert db.execute(sa.select(EVENTS).where(EVENTS.c.sequence > MOST_INTEGER)).all() == []


@pytest.mark.postgres
def test_a_connection_that_the_database_cut_is_replaced(postgres):
    with postgres.connect() as db:
        pid = db.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    other = connect(postgres.url.render_as_string(hide_password=False))
    with other.begin() as db:
        db.execute(sa.select(sa.func.pg_terminate_backend(pid)))
    other.dispose()
    with postgres.connect() as db:
        assert db.execute(sa.select(QUEUE)).all() == [(1, 0)]
