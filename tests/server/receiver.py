"""A receiver of webhooks, as a user would run one: an HTTP server."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

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


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver at work meanwhile."""
    receiver = Receiver()
    thread = Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        receiver.shutdown()
        receiver.server_close()
        thread.join()
