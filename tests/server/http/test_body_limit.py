"""The limit by itself, around an application that reads what it gets; over sockets it is tested with the app."""

import asyncio
import json

import pytest

from server.http.body_limit import BodyLimit
from server.limits import Limits

LIMITS = Limits(body_bytes=1024, list_items=3, request_s=0.05)


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": (await receive())["body"]})


def answer(headers: dict[str, str], *pieces: bytes, method: str = "POST", path: str = "/v1/jobs") -> tuple[int, bytes]:
    """Status and body of the answer to a request with `headers`, whose body comes in `pieces`, then nothing more."""
    sent, coming = [], list(pieces)

    async def receive():
        if not coming:
            await asyncio.sleep(60)
        body = coming.pop(0)
        whole = not coming and headers.get("Content-Length") == str(len(b"".join(pieces)))
        return {"type": "http.request", "body": body, "more_body": not whole}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path}
    scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(BodyLimit(application, limits=LIMITS)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("pieces", [(b"{}",), (b"{", b"}"), (b" " * 1022 + b"{}",)])
def test_a_body_up_to_the_limit_reaches_the_application_whole(pieces):
    body = b"".join(pieces)
    assert answer({"Content-Length": str(len(body))}, *pieces) == (200, body)


def test_a_request_without_a_body_reaches_the_application():
    assert answer({}, b"") == (200, b"")


@pytest.mark.parametrize("length", ["1025", "1" * 5000])
def test_a_body_above_the_limit_is_refused_unread(length):
    status, body = answer({"Content-Length": length}, b"unread")
    assert status == 413
    assert json.loads(body)["detail"] == (
        "a body takes at most 1024 bytes here; models and data are uploaded to a path of their own"
    )


def test_a_part_of_an_archive_has_a_limit_of_its_own_and_reaches_the_application_as_it_comes():
    part = {"method": "PUT", "path": "/v1/models/1f2e/content"}
    assert answer({"Content-Length": "2000"}, b"a", b"b", **part) == (200, b"a"), "the first piece of it"
    assert answer({"Content-Length": str(LIMITS.upload_bytes + 1)}, b"unread", **part)[0] == 413
    for other in ({"method": "POST"}, {"path": "/v1/models/1f2e"}, {"path": "/v1/models/a/b/content"}):
        assert answer({"Content-Length": "2000"}, b"unread", **part | other)[0] == 413


def test_a_body_that_does_not_say_how_long_it_is_is_refused_unread():
    status, body = answer({"Transfer-Encoding": "chunked"}, b"unread")
    assert status == 411
    assert json.loads(body)["type"] == "urn:shrinkml:problem:length-required"


def test_a_body_that_does_not_arrive_in_time_is_refused():
    status, body = answer({"Content-Length": "9"}, b"{")
    assert (status, json.loads(body)["type"]) == (408, "urn:shrinkml:problem:request-timeout")
    assert "did not arrive within 0.05 s" in json.loads(body)["detail"]


@pytest.mark.parametrize(
    ("value", "status"),
    [([1, 2, 3], 200), ({"a": [1, 2, 3], "b": 1, "c": 1}, 200), ([1, 2, 3, 4], 422), ({"a": [{"b": [1] * 4}]}, 422),
     ({"a": 1, "b": 1, "c": 1, "d": 1}, 422)],
)  # fmt: skip
def test_lists_and_objects_hold_so_many_items_and_no_more(value, status):
    body = json.dumps(value).encode()
    found, answered = answer({"Content-Length": str(len(body))}, body)
    assert found == status
    assert status == 200 or "holds more than 3 items" in json.loads(answered)["detail"]


def test_what_is_no_json_is_for_the_application_to_refuse():
    for body in (b"[" * 1000, b"1" * 1000, b"{]"):
        assert answer({"Content-Length": str(len(body))}, body) == (200, body)
