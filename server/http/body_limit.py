"""Request bodies of known, moderate size only."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.http.problems import problem_response


class BodyLimit:
    """Refuses bodies that are too large, or do not say how large they are, before reading any of it."""

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with a problem, or lets the application answer."""
        headers = Headers(scope=scope)
        respond = self._app
        if "transfer-encoding" in headers:
            detail = "send the whole body at once, with a Content-Length header"
            respond = problem_response(411, "length-required", detail, instance=scope["path"])
        elif int(headers.get("content-length", 0)) > self._most_bytes:
            detail = f"a body takes at most {self._most_bytes} bytes; a job names its data by path"
            respond = problem_response(413, "body-too-large", detail, instance=scope["path"])
        await respond(scope, receive, send)
