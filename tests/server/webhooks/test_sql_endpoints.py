from pathlib import Path

import pytest
import sqlalchemy as sa

from server.service_errors import OwnerLimitError, UnknownWebhookError
from server.stores.schema import DELIVERIES
from server.webhooks.endpoints import new_endpoint
from server.webhooks.outbox import DeliveryState


def test_an_endpoint_is_kept_as_it_is_and_seen_by_its_owner(endpoints, register):
    anna, bert, nobody = (register("https://a.org/", owner) for owner in ("anna", "bert", None))
    assert endpoints.all() == [anna, bert, nobody]
    assert endpoints.all("anna") == [anna]
    assert endpoints.get(anna.id) == endpoints.get(anna.id, "anna") == anna
    for owner in ("bert", "carla"):
        with pytest.raises(UnknownWebhookError, match=f"no webhook '{anna.id}'"):
            endpoints.get(anna.id, owner)


def test_an_owner_has_so_many_endpoints_and_takes_none_from_others(endpoints):
    for owner in ("anna", None):
        first = new_endpoint("https://a.org/", owner)
        endpoints.add(first, most=1)
        with pytest.raises(OwnerLimitError, match="1 webhooks are registered and the server allows 1"):
            endpoints.add(new_endpoint("https://b.org/", owner), most=1)
        endpoints.remove(first.id)
        endpoints.add(new_endpoint("https://b.org/", owner), most=1)


def test_with_an_endpoint_its_messages_go(endpoints, engine, register, store, spec):
    gone, there = register("https://a.org/"), register("https://b.org/")
    store.submit(spec, max_queued=9)
    endpoints.remove(gone.id)
    with engine.connect() as db:
        assert db.execute(sa.select(DELIVERIES.c.endpoint_id)).scalars().all() == [there.id]


def test_messages_are_listed_from_the_newest_on_also_when_their_job_is_gone(endpoints, register, store, spec):
    endpoint = register("https://a.org/")
    job, _ = store.submit(spec, max_queued=9)
    store.cancel(job.id)
    store.delete(job.id, lambda: None)
    newest, oldest = endpoints.sent(endpoint.id, limit=9)
    assert (newest.type, oldest.type, newest.job_id) == ("job.cancelled", "job.queued", job.id)
    assert (oldest.state, oldest.attempts, oldest.problem) == (DeliveryState.WAITING, 0, None)
    assert oldest.next_attempt_at == oldest.created_at
    assert endpoints.sent(endpoint.id, limit=1) == [newest]
    assert endpoints.sent(endpoint.id, limit=9, before=newest.number) == [oldest]


def test_the_secret_is_kept_to_sign_with(endpoints, register, tmp_path: Path):
    endpoint = register("https://a.org/")
    assert endpoints.get(endpoint.id).secret == endpoint.secret
