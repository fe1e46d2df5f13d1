"""The limit by itself, around an application that reads what it gets; over sockets it is tested with the app."""

import asyncio
import json

import pytest

from server.http.body_limit import BodyLimit


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": (await receive())["body"]})


def answer(headers: dict[str, str], body: bytes = b"{}") -> tuple[int, bytes]:
    """Status and body of the answer to a POST with `headers`."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/jobs"}
    scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(BodyLimit(application, most_bytes=10)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "2"}, {"Content-Length": "10"}])
def test_a_body_up_to_the_limit_reaches_the_application(headers):
    assert answer(headers) == (200, b"{}")


def test_a_body_above_the_limit_is_refused_unread():
    status, body = answer({"Content-Length": "11"})
    assert status == 413
    assert json.loads(body)["detail"] == "a body takes at most 10 bytes; a job names its data by path"


def test_a_body_that_does_not_say_how_long_it_is_is_refused_unread():
    status, body = answer({"Transfer-Encoding": "chunked"})
    assert status == 411
    assert json.loads(body)["type"] == "urn:shrinkml:problem:length-required"
