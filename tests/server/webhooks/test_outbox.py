import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from server.auth.sql_tokens import SqlTokens
from server.auth.tokens import new_token
from server.jobs.job_state import JobState, now
from server.stores import sql_store
from server.stores.schema import DELIVERIES
from server.webhooks.outbox import LEASE_S, RETRY_S, DeliveryState, SqlOutbox, note
from shrinkml.events import Event

SOON = 4e9  # by then all that waits for its first attempt is due


@pytest.fixture
def outbox(engine) -> SqlOutbox:
    return SqlOutbox(engine)


def messages(engine) -> list[dict]:
    with engine.connect() as db:
        return [json.loads(row.body) for row in db.execute(sa.select(DELIVERIES).order_by(DELIVERIES.c.number))]


def test_each_state_of_a_job_is_a_message_and_nothing_else_is(engine, store, spec, register):
    register("https://a.org/")
    job, _ = store.submit(spec, max_queued=9)
    claim = store.claim("w")
    store.log(claim, Event("epoch", "e", "search", "an epoch"))
    store.finish(claim, JobState.SUCCEEDED)
    told = messages(engine)
    assert [one["type"] for one in told] == ["job.queued", "job.running", "job.succeeded"]
    last = store.events(job.id)[-1]
    assert told[-1]["timestamp"] == last.at.isoformat()
    assert told[-1]["data"] == {
        "job_id": job.id,
        "sequence": last.sequence,
        "state": "succeeded",
        "attempt": 1,
        "stage": "",
        "message": "The job is succeeded.",
    }


def test_an_endpoint_hears_of_its_owners_jobs_alone(engine, store, spec, register):
    ids = {owner: register("https://a.org/", owner).id for owner in ("anna", "bert", None)}
    jobs = {owner: store.submit(spec, max_queued=9, owner=owner)[0].id for owner in ("anna", None, "carla")}
    with engine.connect() as db:
        rows = db.execute(sa.select(DELIVERIES.c.endpoint_id, DELIVERIES.c.job_id)).all()
    assert sorted(rows) == sorted([(ids["anna"], jobs["anna"]), (ids[None], jobs[None])])


def test_a_message_is_there_only_if_its_event_is(engine, store, spec, register, monkeypatch):
    register("https://a.org/")

    def note_and_fail(*arguments):
        note(*arguments)
        raise RuntimeError("the transaction ends here")

    monkeypatch.setattr(sql_store, "note", note_and_fail)
    with pytest.raises(RuntimeError, match="ends here"):
        store.submit(spec, max_queued=9)
    assert (messages(engine), store.page(limit=9)) == ([], [])


def test_a_message_is_taken_by_one_and_by_another_when_nothing_more_is_heard(outbox, engine, store, spec, register):
    register("https://a.org/")
    store.submit(spec, max_queued=9)
    (first,) = outbox.claim(SOON, most=9)
    assert (first.attempts, first.is_wanted) == (1, True)
    other = SqlOutbox(engine)
    assert other.claim(SOON + LEASE_S - 1, most=9) == []
    (second,) = other.claim(SOON + LEASE_S, most=9)
    assert (second.id, second.body, second.attempts) == (first.id, first.body, 2)
    outbox.settle(first, DeliveryState.GIVEN_UP, "late")
    outbox.postpone(first, "late", SOON)
    assert other.claim(SOON + LEASE_S + 1, most=9) == [], "who comes back late changes nothing"
    other.settle(second, DeliveryState.DELIVERED)
    assert other.claim(SOON + 9 * LEASE_S, most=9) == []


def test_many_who_take_at_once_never_take_the_same(engine, store, spec, register):
    for _ in range(4):
        register("https://a.org/")
    jobs = [store.submit(spec, max_queued=9)[0] for _ in range(3)]
    taken = []
    with ThreadPoolExecutor(4) as pool:
        for _ in jobs:
            claims = pool.map(lambda outbox: outbox.claim(SOON, most=9), [SqlOutbox(engine) for _ in range(4)])
            taken += [delivery.number for claim in claims for delivery in claim]
    assert len(taken) == len(set(taken)) == 12


def test_an_endpoint_that_is_silent_or_busy_keeps_no_other_waiting(outbox, store, spec, register):
    silent, quick = register("https://a.org/"), register("https://b.org/")
    for _ in range(3):
        store.submit(spec, max_queued=9)
    assert [one.endpoint_id for one in outbox.claim(SOON, most=9)] == [silent.id, quick.id]
    assert [one.endpoint_id for one in outbox.claim(SOON, most=9, busy=[silent.id])] == [quick.id]
    assert len(outbox.claim(SOON, most=1)) == 1


def test_a_message_is_tried_ten_times_in_three_days_at_growing_distance(outbox, endpoints, store, spec, register):
    endpoint = register("https://a.org/")
    store.submit(spec, max_queued=9)
    clock, waits = SOON, []
    (delivery,) = outbox.claim(clock, most=9)
    while outbox.postpone(delivery, "the answer was 500", clock):
        (sent,) = endpoints.sent(endpoint.id, limit=9)
        assert sent.problem == "the answer was 500"
        due = sent.next_attempt_at.timestamp()
        assert outbox.claim(due - 0.01, most=9) == []
        waits.append(due - clock)
        clock = due + 0.01
        (delivery,) = outbox.claim(clock, most=9)
    assert delivery.attempts == len(RETRY_S) + 1 == 10
    assert 75 * 3600 < sum(RETRY_S) < 76 * 3600
    assert all(0.9 * wait <= waited + 0.01 <= 1.1 * wait + 0.02 for wait, waited in zip(RETRY_S, waits, strict=True))


def test_messages_of_an_owner_whose_tokens_are_all_revoked_are_not_wanted(engine, outbox, store, spec, register):
    tokens = SqlTokens(engine)
    token, _ = new_token("anna")
    tokens.add(token)
    register("https://a.org/", "anna")
    store.submit(spec, max_queued=9, owner="anna")
    assert [one.is_wanted for one in outbox.claim(SOON, most=9)] == [True]
    tokens.revoke(token.id)
    assert [one.is_wanted for one in outbox.claim(SOON + LEASE_S, most=9)] == [False]


def test_settled_messages_are_forgotten_after_a_while_and_their_numbers_are_not_given_again(
    engine, outbox, store, spec, register
):
    register("https://a.org/")
    store.submit(spec, max_queued=9)
    (delivery,) = outbox.claim(SOON, most=9)
    assert outbox.forget(now() + timedelta(days=1)) == 0, "it waits"
    outbox.settle(delivery, DeliveryState.DELIVERED)
    assert outbox.forget(now() - timedelta(days=1)) == 0
    assert outbox.forget(now() + timedelta(days=1)) == 1
    store.submit(spec, max_queued=9)
    assert outbox.claim(SOON, most=9)[0].number == delivery.number + 1


def test_neither_url_nor_secret_is_shown_by_chance(outbox, store, spec, register):
    endpoint = register("https://a.org/key")
    store.submit(spec, max_queued=9)
    (delivery,) = outbox.claim(SOON, most=9)
    assert (delivery.url, delivery.secret) == (endpoint.url, endpoint.secret)
    assert not [secret for secret in (endpoint.url, endpoint.secret) if secret in repr(delivery)]
