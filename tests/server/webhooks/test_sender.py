"""Messages from the store's states to a receiver that is a real HTTP server."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from standardwebhooks import Webhook

from server.auth.sql_tokens import SqlTokens
from server.auth.tokens import new_token
from server.webhooks import outbox as outboxes
from server.webhooks import sender as senders
from server.webhooks.outbox import DeliveryState, SqlOutbox
from server.webhooks.sender import NOBODY, Sender
from server.webhooks.targets import Targets
from tests.server.webhooks.conftest import wait_for


@pytest.fixture
def sending(engine, here, monkeypatch) -> Callable[..., object]:
    """Has a sender work, quickly, meanwhile."""
    monkeypatch.setattr(senders, "LOOK_S", 0.02)
    monkeypatch.setattr(outboxes, "RETRY_S", (0.01, 0.01))

    @contextmanager
    def sending(targets: Targets = here) -> Iterator[None]:
        sender = Sender(SqlOutbox(engine), targets)
        sender.start()
        try:
            yield
        finally:
            sender.stop()

    return sending


@pytest.fixture
def settled(endpoints) -> Callable[..., object]:
    """The messages to an endpoint, the oldest first, once none waits any more."""

    def settled(endpoint):
        def all_settled():
            sent = endpoints.sent(endpoint.id, limit=99)
            return [] if any(one.state is DeliveryState.WAITING for one in sent) else sent[::-1]

        return wait_for(all_settled)

    return settled


def test_the_states_of_a_job_arrive_signed_and_are_noted_as_delivered(
    sending, receiver, register, store, spec, settled
):
    endpoint = register(receiver.url)
    with sending():
        job, _ = store.submit(spec, max_queued=9)
        for state in ("queued", "cancelled"):
            headers, body = receiver.next()
            told = Webhook(endpoint.secret).verify(body, headers)
            assert (told["type"], told["data"]["job_id"]) == (f"job.{state}", job.id)
            if state == "queued":
                store.cancel(job.id)
        sent = settled(endpoint)
    assert [(one.type, one.state, one.attempts) for one in sent] == [
        ("job.queued", DeliveryState.DELIVERED, 1),
        ("job.cancelled", DeliveryState.DELIVERED, 1),
    ]
    assert all(one.next_attempt_at is None and one.settled_at for one in sent)


def test_a_message_that_was_not_taken_comes_again_the_same(sending, receiver, register, store, spec, settled):
    receiver.answers = [(500, {}), (302, {"Location": receiver.url})]
    endpoint = register(receiver.url)
    with sending():
        store.submit(spec, max_queued=9)
        received = [receiver.next() for _ in range(3)]
        (sent,) = settled(endpoint)
    assert len({(headers["webhook-id"], body) for headers, body in received}) == 1
    assert (sent.id, sent.state, sent.attempts) == (received[0][0]["webhook-id"], DeliveryState.DELIVERED, 3)


@pytest.mark.parametrize(("status", "attempts"), [(500, 3), (410, 1)])
def test_a_message_that_is_never_taken_is_given_up_and_says_why(
    sending, receiver, register, store, spec, settled, caplog, status, attempts
):
    receiver.answers = [(status, {})] * 9
    endpoint = register(receiver.url)
    with sending():
        store.submit(spec, max_queued=9)
        (sent,) = settled(endpoint)
    assert (sent.state, sent.attempts, sent.problem) == (
        DeliveryState.GIVEN_UP,
        attempts,
        f"the answer was {status}",
    )
    assert f"message {sent.id} of a webhook is given up after {attempts} attempts" in caplog.text
    assert not [secret for secret in (endpoint.secret, endpoint.url) if secret in caplog.text]


def test_what_only_this_server_reaches_is_not_asked_unless_it_is_allowed(
    sending, receiver, register, store, spec, settled
):
    endpoints = [register(receiver.url), register(receiver.url.replace("127.0.0.1", "localhost"))]
    with sending(Targets()):
        store.submit(spec, max_queued=9)
        for endpoint in endpoints:
            (sent,) = settled(endpoint)
            assert "leads to an address that is not public" in sent.problem
    assert receiver.messages.empty()


def test_several_senders_send_each_message_once(sending, receivers, register, store, spec, settled):
    there = [receivers() for _ in range(3)]
    endpoints = [register(receiver.url) for receiver in there]
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(sending())
        jobs = {store.submit(spec, max_queued=9)[0].id for _ in range(4)}
        sent = [one for endpoint in endpoints for one in settled(endpoint)]
    assert {one.attempts for one in sent} == {1}
    for receiver in there:
        heard = [json.loads(receiver.messages.get_nowait()[1])["data"]["job_id"] for _ in jobs]
        assert (set(heard), receiver.messages.empty()) == (jobs, True)


def test_one_receiver_that_hangs_keeps_no_other_waiting_nor_the_end(
    sending, receivers, register, store, spec, endpoints
):
    hanging, quick = receivers(), receivers()
    hanging.released.clear()
    first = register(hanging.url)
    register(quick.url)
    with sending():
        for _ in range(2):
            store.submit(spec, max_queued=9)
        hanging.next()
        assert len([quick.next() for _ in range(2)]) == 2
    sent = endpoints.sent(first.id, limit=9)
    assert {(one.state, one.attempts) for one in sent} == {(DeliveryState.WAITING, 0), (DeliveryState.WAITING, 1)}
    assert hanging.messages.empty(), "one message at a time"


def test_nothing_is_sent_to_those_whose_tokens_are_revoked(engine, sending, receiver, register, store, spec, settled):
    token, _ = new_token("anna")
    SqlTokens(engine).add(token)
    endpoint = register(receiver.url, "anna")
    store.submit(spec, max_queued=9, owner="anna")
    SqlTokens(engine).revoke(token.id)
    with sending():
        (sent,) = settled(endpoint)
    assert (sent.state, sent.problem) == (DeliveryState.GIVEN_UP, NOBODY)
    assert receiver.messages.empty()


def test_a_database_that_is_away_for_a_while_ends_nothing_and_is_told_of_once(
    engine, here, receiver, register, store, spec, monkeypatch, caplog
):
    monkeypatch.setattr(senders, "LOOK_S", 0.02)
    register(receiver.url)
    outbox, troubles = SqlOutbox(engine), [RuntimeError("away")] * 2

    class Away:
        def __getattr__(self, name: str):
            return getattr(outbox, name)

        def claim(self, *arguments, **more):
            if troubles:
                raise troubles.pop()
            return outbox.claim(*arguments, **more)

    sender = Sender(Away(), here)
    sender.start()
    store.submit(spec, max_queued=9)
    receiver.next()
    sender.stop()
    assert (troubles, caplog.text.count("the outbox of webhooks cannot be used")) == ([], 1)
