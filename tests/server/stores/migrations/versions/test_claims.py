from server.stores.sql_store import SqlJobStore
from tests.server.stores.migrations.earlier_databases import WITH_OWNERS


def test_a_job_that_ran_when_the_service_was_renewed_is_taken_up_by_whoever_comes_first(opened):
    store = SqlJobStore(opened(WITH_OWNERS))
    assert (store.get("old-2").worker, store.get("old-2").claim) == (None, 0)
    claim = store.claim("w")
    assert (claim.id, claim.claim, claim.starts) == ("old-2", 1, 1)
    assert store.claim("other") is None
