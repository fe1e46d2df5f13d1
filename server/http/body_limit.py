"""Request bodies of known, moderate size only, which arrive in time and hold no endless lists."""

import json
import re
from typing import Any

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.http.problems import problem_response
from server.limits import Limits

DIGITS = 18  # of a length that is read at all
STREAMED = re.compile(r"/v1/(models|datasets)/[^/]+/content")  # parts of archives: the application takes them in itself


class BodyLimit:
    """Refuses bodies that are too large, or do not say how large they are, before reading any of it.

    The application gets a body whole: a client that is slow, or goes away, never holds anything but its connection.
    Only parts of archives are too large for that.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with a problem, or lets the application answer."""
        length = Headers(scope=scope).get("content-length", "0")
        is_part = scope["method"] == "PUT" and STREAMED.fullmatch(scope["path"]) is not None
        most = self._limits.upload_bytes if is_part else self._limits.body_bytes
        if "transfer-encoding" in Headers(scope=scope):
            detail = "send the whole body at once, with a Content-Length header"
            await problem_response(411, "length-required", detail, instance=scope["path"])(scope, receive, send)
        elif len(length) > DIGITS or int(length) > most:
            detail = f"a body takes at most {most} bytes here; models and data are uploaded to a path of their own"
            await problem_response(413, "body-too-large", detail, instance=scope["path"])(scope, receive, send)
        elif int(length) == 0 or is_part:
            await self._app(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body: bytes | None = None
        with anyio.move_on_after(self._limits.request_s):
            body = await _whole(receive)
        if body is None:
            detail = f"the body did not arrive within {self._limits.request_s:g} s; send it again"
            await problem_response(408, "request-timeout", detail, instance=scope["path"])(scope, receive, send)
        elif _longest(body) > self._limits.list_items:
            detail = f"a list or object of the body holds more than {self._limits.list_items} items; send fewer"
            await problem_response(422, "list-too-long", detail, instance=scope["path"])(scope, receive, send)
        else:
            await self._app(scope, _replay(body, receive), send)


async def _whole(receive: Receive) -> bytes:
    """Return the body; what came of it where the client went away."""
    body = bytearray()
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what hands out `body` at once, then what `receive` does."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


def _longest(body: bytes) -> int:
    """Return the number of items of the longest list or object in `body`; 0 where it is no JSON, for the app to say."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return 0
    longest, left = 0, [value]
    while left:
        value = left.pop()
        items: list[Any] = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        longest = max(longest, len(items))
        left += items
    return longest
