import asyncio
import socket
import threading

import pytest
from standardwebhooks import Webhook

from server.webhooks import posting
from server.webhooks.endpoints import new_endpoint
from server.webhooks.outbox import Delivery
from server.webhooks.posting import Refusal, guarded_pool, post
from server.webhooks.targets import Targets

BODY = '{"type":"job.failed","data":{"message":"\\u00e9"}}'


def delivery_to(url: str) -> Delivery:
    endpoint = new_endpoint(url, None)
    return Delivery(7, endpoint.id, url, endpoint.secret, BODY, attempts=1, is_wanted=True)


def posted(delivery: Delivery, targets: Targets) -> Refusal | None:
    async def attempt() -> Refusal | None:
        async with guarded_pool(targets) as pool:
            return await post(pool, delivery)

    return asyncio.run(attempt())


def test_a_message_is_posted_as_it_is_and_signed_by_the_standard(receiver, here):
    delivery = delivery_to(receiver.url)
    assert posted(delivery, here) is None
    headers, body = receiver.next()
    assert Webhook(delivery.secret).verify(body, headers) == {"type": "job.failed", "data": {"message": "é"}}
    assert body == BODY.encode()
    assert headers["webhook-id"] == delivery.id == f"msg_{delivery.endpoint_id}_7"
    assert (headers[":path"], headers["Content-Type"]) == ("/hook?key=1", "application/json")
    assert headers["User-Agent"].startswith("ShrinkML/")
    assert headers["Host"] == f"127.0.0.1:{receiver.server_port}"


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (200, None),
        (299, None),
        (404, Refusal("the answer was 404")),
        (410, Refusal("the answer was 410", is_final=True)),
        (500, Refusal("the answer was 500")),
    ],
)
def test_an_answer_tells_whether_the_message_was_taken(receiver, here, status, refusal):
    receiver.answers = [(status, {})]
    assert posted(delivery_to(receiver.url), here) == refusal


def test_no_redirect_is_followed(receivers, here):
    receiver, other = receivers(), receivers()
    receiver.answers = [(307, {"Location": other.url})]
    assert posted(delivery_to(receiver.url), here) == Refusal("the answer was 307, and redirects are not followed")
    assert other.messages.empty()


def test_what_is_no_target_is_not_asked(receiver):
    refusal = posted(delivery_to(receiver.url), Targets())
    assert refusal is not None
    assert "127.0.0.1 leads to an address that is not public" in refusal.why
    assert receiver.messages.empty()


def test_no_proxy_of_the_environment_is_asked(receivers, here, monkeypatch):
    receiver, proxy = receivers(), receivers()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
    assert posted(delivery_to(receiver.url), here) is None
    assert proxy.messages.empty()


def test_a_receiver_that_is_not_there_is_a_failure_in_words(closed_port, here):
    refusal = posted(delivery_to(f"http://127.0.0.1:{closed_port}/"), here)
    assert refusal is not None
    assert refusal.why.startswith("the connection failed (ConnectError")


def test_a_receiver_that_answers_drop_by_drop_has_as_little_time_as_others(here, monkeypatch):
    monkeypatch.setattr(posting, "ATTEMPT_S", 0.3)
    done = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not done.wait(0.02):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        refusal = posted(delivery_to(f"http://127.0.0.1:{listener.getsockname()[1]}/"), here)
        done.set()
        thread.join()
    assert refusal == Refusal("no answer within 0.3 s")


def test_an_answer_without_end_is_not_read(here):
    done = threading.Event()

    def pour(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            done.wait(60)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=pour, args=(listener,))
        thread.start()
        assert posted(delivery_to(f"http://127.0.0.1:{listener.getsockname()[1]}/"), here) is None
        done.set()
        thread.join()
