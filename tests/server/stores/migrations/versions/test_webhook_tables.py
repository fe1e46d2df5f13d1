from server.stores.sql_store import SqlJobStore
from server.webhooks.endpoints import new_endpoint
from server.webhooks.sql_endpoints import SqlEndpoints
from tests.server.stores.migrations.earlier_databases import WITH_OWNERS


def test_a_database_that_knew_no_webhooks_tells_them_of_what_comes(opened):
    engine = opened(WITH_OWNERS)
    endpoint = new_endpoint("https://example.org/", None)
    SqlEndpoints(engine).add(endpoint, most=1)
    store = SqlJobStore(engine)
    claim = store.claim("w")
    store.cancel(claim.id)
    assert [one.type for one in SqlEndpoints(engine).sent(endpoint.id, limit=9)] == ["job.cancelling"]
