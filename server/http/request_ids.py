"""Ids of requests: in the log, and in the answer, so that a client can say which of its requests it means."""

import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.log_context import REQUEST_ID

HEADER = "X-Request-Id"
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """Gives each request an id: the one that it brings where that is well-formed, else a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, and name the request in the answer."""
        brought = Headers(scope=scope).get(HEADER, "")
        request_id = brought if WELL_FORMED.fullmatch(brought) else secrets.token_hex(8)
        REQUEST_ID.set(request_id)  # for good: a request has a task of its own, and errors are logged outside of here

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self._app(scope, receive, send_named)
