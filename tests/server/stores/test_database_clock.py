import time

import sqlalchemy as sa

from server.stores.database_clock import SecondsNow


def test_the_clock_of_a_database_on_this_machine_is_that_of_this_machine(engine):
    with engine.connect() as db:
        before, told, after = time.time(), db.execute(sa.select(SecondsNow())).scalar_one(), time.time()
        assert before - 0.01 <= told <= after + 0.01, "to the millisecond"


def test_the_clock_goes_on_inside_a_transaction(engine):
    with engine.begin() as db:
        first = db.execute(sa.select(SecondsNow())).scalar_one()
        time.sleep(0.01)
        assert db.execute(sa.select(SecondsNow())).scalar_one() > first
