"""A receiver of webhooks, as a user would run one: an HTTP server."""

import queue
import socket
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from threading import Event, Thread

import pytest
import sqlalchemy as sa

from server.webhooks.endpoints import Endpoint, new_endpoint
from server.webhooks.sql_endpoints import SqlEndpoints
from server.webhooks.targets import Targets

PATIENCE_S = 60.0


class Receiver(ThreadingHTTPServer):
    """Keeps what is posted, and answers with the next of `answers`, with 204 when there are no more.

    Attributes:
        answers: status and headers of answers.
        released: set where requests are answered; otherwise they hang.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.messages: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.released = Event()
        self.released.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?key=1"

    def next(self) -> tuple[dict[str, str], bytes]:
        """Headers and body of the next message."""
        return self.messages.get(timeout=PATIENCE_S)


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.messages.put(({**self.headers, ":path": self.path}, body))
        self.server.released.wait(PATIENCE_S)
        status, headers = self.server.answers.pop(0) if self.server.answers else (204, {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stays quiet."""


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    """Starts receivers."""
    started: list[tuple[Receiver, Thread]] = []

    def start() -> Receiver:
        receiver = Receiver()
        thread = Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((receiver, thread))
        return receiver

    yield start
    for receiver, thread in started:
        receiver.released.set()
        receiver.shutdown()
        receiver.server_close()
        thread.join()


@pytest.fixture
def receiver(receivers) -> Receiver:
    return receivers()


@pytest.fixture
def closed_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def here() -> Targets:
    """Targets to which this machine belongs."""
    return Targets([ip_network("127.0.0.0/8")])


@pytest.fixture
def endpoints(engine: sa.Engine) -> SqlEndpoints:
    return SqlEndpoints(engine)


@pytest.fixture
def register(endpoints) -> Callable[..., Endpoint]:
    """Registers an address."""

    def register(url: str, owner: str | None = None) -> Endpoint:
        endpoint = new_endpoint(url, owner)
        endpoints.add(endpoint, most=9)
        return endpoint

    return register


def wait_for(condition: Callable[[], object]):
    """Return what `condition` says as soon as it is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
    return value
