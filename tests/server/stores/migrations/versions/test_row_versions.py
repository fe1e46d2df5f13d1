from server.jobs.job_state import JobState
from server.stores.sql_store import SqlJobStore
from tests.server.stores.migrations.earlier_databases import WITH_VERSIONS


def test_jobs_from_before_there_were_owners_are_nobodys(opened, spec):
    store = SqlJobStore(opened(WITH_VERSIONS))
    assert [store.owner(job_id) for job_id in ("old-1", "old-2")] == [None, None]
    assert store.finish(store.claim("w"), JobState.SUCCEEDED).id == "old-2"
    assert store.submit(spec, max_queued=1, owner="anna")[0].owner == "anna"
