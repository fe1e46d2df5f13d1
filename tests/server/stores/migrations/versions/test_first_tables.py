"""From the first schema on."""

import pytest

from server.auth.sql_tokens import SqlTokens
from server.jobs.job_state import JobState
from server.service_errors import KeyReusedError
from server.stores.sql_store import SqlJobStore
from shrinkml.events import Event
from tests.server.stores.migrations.earlier_databases import FIRST


def test_jobs_of_the_first_version_go_on(opened, spec):
    engine = opened(FIRST)
    store = SqlJobStore(engine)
    assert store.get("old-1").failure.message == "no plan fits"
    assert store.owner("old-1") is None
    assert SqlTokens(engine).is_empty(), "nobody needs a token there"
    assert len(store.events("old-1")) == 3
    assert store.resume("old-1", max_queued=1).attempt == 2
    claims = [store.claim(worker) for worker in ("w1", "w2")]
    assert [(claim.id, claim.state) for claim in claims] == [("old-2", JobState.RUNNING), ("old-1", JobState.RUNNING)]
    store.log(claims[1], Event("epoch", "n", "search", "note"))
    assert [entry.sequence for entry in store.events("old-1")] == [1, 2, 3, 4, 5, 6]
    assert store.submit(spec, max_queued=1, owner="anna")[0].number == 3
    assert [job.id for job in store.page(limit=9)][1:] == ["old-2", "old-1"]
    assert len(store.page(limit=9, owner="anna")) == 1


def test_a_key_of_the_first_version_still_names_its_job(opened, spec):
    store = SqlJobStore(opened(FIRST))
    assert store.submitted(spec, idempotency_key="k").id == "old-1"
    with pytest.raises(KeyReusedError, match="belongs to job old-1"):
        store.submitted(spec.model_copy(update={"seed": 1}), idempotency_key="k")
    assert store.submit(spec, max_queued=1, idempotency_key="k", owner="anna")[1]
