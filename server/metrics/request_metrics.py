"""Metrics of requests: how many of each kind, and how long their answers took to begin."""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NO_ROUTE = "none"  # of paths that the service does not know: what clients make up is no label
METHODS = {"GET", "HEAD", "POST", "DELETE"}


class RequestMetrics:
    """Counts and times the requests that the application answers."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        names = ("method", "route", "status")
        self._n = Counter("shrinkml_http_requests", "Requests that were answered.", names, registry=registry)
        self._seconds = Histogram(
            "shrinkml_http_seconds", "Time until an answer began.", ("method", "route"), registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, and note it."""
        began = time.perf_counter()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in METHODS else NO_ROUTE
                route = getattr(scope.get("route"), "path", NO_ROUTE)
                self._n.labels(method, route, message["status"]).inc()
                self._seconds.labels(method, route).observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, noted)
