import pytest

from server.stores.sql_store import SqlJobStore
from server.stores.statements import ROOM, TAKE


@pytest.fixture
def store(engine) -> SqlJobStore:
    return SqlJobStore(engine)


def test_the_room_is_told_with_the_version_of_the_queue_that_has_it(engine, store, spec):
    def room(owner: str | None = None) -> tuple[int, int, int]:
        with engine.connect() as db:
            return tuple(db.execute(ROOM, {"owner": owner}).one())

    assert room() == (0, 0, 0)
    jobs = [store.submit(spec, max_queued=9, owner=owner)[0] for owner in ("anna", "anna", None)]
    assert room() == (3, 3, 0)
    assert room("anna") == (3, 3, 2)
    assert store.claim("w").id == jobs[0].id
    assert room("anna") == (3, 2, 2)
    store.cancel(jobs[1].id)
    assert room("anna") == (3, 1, 1)
    assert room("bert") == (3, 1, 0)


def test_a_ticket_is_good_for_one_job(engine):
    with engine.begin() as db:
        assert [db.execute(TAKE, {"ticket": 0}).rowcount for _ in range(2)] == [1, 0]
        assert db.execute(ROOM, {"owner": None}).one().version == 1
