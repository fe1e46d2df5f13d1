"""Answers to requests that the end of the server cuts off."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.http.problems import problem_response


class Farewell:
    """Tells who is cut off that nobody knows what became of the request, instead of an error that says it failed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; where that is cancelled before it has begun to, answer with a problem."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:
            if not begun:
                detail = (
                    "the server stops, and whether this was done is not known; "
                    "ask again when it is back, a submission with the same Idempotency-Key"
                )
                await problem_response(503, "stopping", detail, instance=scope["path"])(scope, receive, send)
            raise
