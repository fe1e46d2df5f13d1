from server.auth.sql_tokens import SqlTokens
from server.stores.sql_store import SqlJobStore
from tests.server.stores.migrations.earlier_databases import WITH_OWNERS


def test_tokens_and_owners_are_kept(opened, spec):
    engine = opened(WITH_OWNERS)
    assert [token.owner for token in SqlTokens(engine).all()] == ["anna"]
    store = SqlJobStore(engine)
    store.submit(spec, max_queued=9, owner="anna")
    assert [job.number for job in store.page(limit=9, owner="anna")] == [3]
