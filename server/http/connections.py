"""Connections that are bounded in number and in time, and told what is wrong in problem documents."""

import asyncio
import itertools
import resource
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.http.problems import problem_response

RESERVED = 64  # descriptors for the database, logs, downloads


class BoundedConnection(H11Protocol):
    """One connection: a request on it must arrive in time, and where there are too many, the one idle for longest goes.

    Attributes:
        most: connections at once.
        arrival_s: seconds for the head of a request to arrive.
    """

    most = 512
    arrival_s = 20.0
    _turns = itertools.count()  # clocks of event loops stand still for a millisecond: several could begin at once
    _deadline: asyncio.TimerHandle | None = None
    _idle_since = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._idle_since = next(self._turns)
        self._wait()
        if len(self.connections) > self.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Take in a piece of a request."""
        super().data_received(data)
        if self._is_idle:
            self._wait()
        else:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Begin to be idle; uvicorn's own timer ends a connection that stays so."""
        self._idle_since = next(self._turns)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Say that what came is no HTTP, and close."""
        self._refuse(400, "malformed-request", "what came is no request of HTTP/1.1, or its head is longer than 64 KiB")

    @property
    def _is_idle(self) -> bool:
        """True while no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.arrival_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self._refuse(408, "request-timeout", f"no whole request came within {self.arrival_s:g} s")

    def _make_room(self) -> None:
        """Close the connection that has been idle for longest; this one, where every other is at work."""
        others = [other for other in self.connections if other is not self and isinstance(other, BoundedConnection)]
        idle = [other for other in others if other._is_idle and not other.transport.is_closing()]
        if idle:
            min(idle, key=lambda other: other._idle_since).transport.abort()
        else:
            self._refuse(503, "connections", f"{self.most} connections are at work; try again later")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer with a problem where an answer is still possible, and close."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and self._is_idle:
            problem = problem_response(status, code, detail, instance="/")
            headers = [*problem.raw_headers, (b"connection", b"close")]
            headers += [(b"retry-after", b"1")] if status == 503 else []
            reason = code.encode()
            for event in (
                h11.Response(status_code=status, headers=headers, reason=reason),
                h11.Data(data=bytes(problem.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def bounded(most: int, arrival_s: float) -> type[BoundedConnection]:
    """Return the class of connections of which there are at most `most` at once.

    Fewer where this process may not open so many files; it may open as many as the system lets it from now on.
    """
    attributes: dict[str, Any] = {"most": max(1, min(most, _most_descriptors() - RESERVED)), "arrival_s": arrival_s}
    return type("Connection", (BoundedConnection,), attributes)


def _most_descriptors() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard
