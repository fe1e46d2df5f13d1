"""Connections that are bounded in number and in time, and told what is wrong in problem documents."""

import asyncio
import itertools
import resource
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.http.problems import problem_response

RESERVED = 96  # descriptors for the database, logs, downloads, and connections that linger
MOST_LINGERING = 32  # at once
LINGER_S = 2.0  # that an answer has to arrive


class BoundedConnection(H11Protocol):
    """One connection: its client must send a request, and take in the answer, in time; of too many, the idlest goes.

    Attributes:
        most: connections at once.
        patience_s: seconds for the head of a request to arrive, and for a client that is behind to take in more.
        lingering: connections that were told off and have yet to read it; they take no place.
    """

    most = 512
    patience_s = 20.0
    lingering: set["BoundedConnection"]
    _turns = itertools.count()  # clocks of event loops stand still for a millisecond: several could begin at once
    _deadline: asyncio.TimerHandle | None = None
    _sending_deadline: asyncio.TimerHandle | None = None
    _idle_since = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._idle_since = next(self._turns)
        self._wait()
        if len(self.connections) > self.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Take in a piece of a request; of a connection that lingers nothing more is heard."""
        if self in self.lingering:
            return
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
        self._forget_sending_deadline()
        self.lingering.discard(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the client to take in what was sent; one that never does would keep its place for ever."""
        super().pause_writing()
        self._forget_sending_deadline()
        self._sending_deadline = self.loop.call_later(self.patience_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on sending."""
        self._forget_sending_deadline()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Say that what came is no HTTP, and close."""
        self._refuse(400, "malformed-request", "what came is no request of HTTP/1.1, or its head is longer than 64 KiB")

    @property
    def _is_idle(self) -> bool:
        """True while no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.patience_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _forget_sending_deadline(self) -> None:
        if self._sending_deadline is not None:
            self._sending_deadline.cancel()
            self._sending_deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self._refuse(408, "request-timeout", f"no whole request came within {self.patience_s:g} s")

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
            if len(self.lingering) < MOST_LINGERING:
                self._linger()
                return
        self.transport.close()

    def _linger(self) -> None:
        """Close once the client has closed, or soon: closing on what was not read yet would reset what was written."""
        self._stop_waiting()
        self.lingering.add(self)
        self.connections.discard(self)
        self.flow.resume_reading()
        self.transport.write_eof()
        self._deadline = self.loop.call_later(LINGER_S, self.transport.abort)


def bounded(most: int, patience_s: float) -> type[BoundedConnection]:
    """Return the class of connections of which there are at most `most` at once.

    Fewer where this process may not open so many files; it may open as many as the system lets it from now on.
    """
    most = max(1, min(most, _most_descriptors() - RESERVED))
    attributes: dict[str, Any] = {"most": most, "patience_s": patience_s, "lingering": set()}
    return type("Connection", (BoundedConnection,), attributes)


def _most_descriptors() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard
