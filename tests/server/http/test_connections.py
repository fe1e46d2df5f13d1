"""Connections as a client sees them, on a server of this process that is short of them and of patience."""

import contextlib
import json
import resource
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from server.http.app import create_app
from server.http.connections import RESERVED, bounded
from server.limits import Limits

MOST = 4


def serving(most: int, patience_s: float) -> Iterator[tuple[str, int]]:
    """The address of a server that takes `most` connections at once, and waits so long for a request."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(services=None, limits=Limits(request_s=patience_s))
    config = uvicorn.Config(app, http=bounded(most, patience_s), ws="none", log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield listener.getsockname()[:2]
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """A server without patience."""
    yield from serving(512, 0.5)


@pytest.fixture(scope="module")
def narrow() -> Iterator[tuple[str, int]]:
    """A server with patience for four connections."""
    yield from serving(MOST, 240.0)


def connect(address, said: bytes = b"") -> socket.socket:
    connection = socket.create_connection(address, timeout=240)
    connection.sendall(said)
    return connection


def all_of(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    found = b""
    with connection:
        try:
            while piece := connection.recv(65536):
                found += piece
        except ConnectionResetError:
            pass
    return found


def problem(answer: bytes) -> dict:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    assert b"connection: close" in head.lower()
    return json.loads(body)


PAGE = b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
                                  b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", b"X" * 100_000,
                                  b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
                                  b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])  # fmt: skip
def test_what_is_no_http_is_told_so_in_a_problem_document(address, said):
    found = problem(all_of(connect(address, said)))
    assert (found["status"], found["type"]) == (400, "urn:shrinkml:problem:malformed-request")


@pytest.mark.parametrize("said", [b"", b"GET /v1/ver", b"GET /v1/version HTTP/1.1\r\nHost: local"])
def test_a_connection_on_which_no_whole_request_comes_is_closed(address, said):
    assert problem(all_of(connect(address, said)))["type"] == "urn:shrinkml:problem:request-timeout"


def test_a_second_request_that_never_ends_is_not_waited_for_either(address):
    assert all_of(connect(address, PAGE + b"GET /v1/ver")).startswith(b"HTTP/1.1 200")


def test_a_body_that_never_ends_is_not_waited_for(address):
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
    answer = all_of(connect(address, head + b"Connection: close\r\n\r\n{"))
    assert (answer.split()[1], problem(answer)["type"]) == (b"408", "urn:shrinkml:problem:request-timeout")


def test_the_connection_that_is_idle_for_longest_makes_room_for_a_new_one(narrow):
    with contextlib.ExitStack() as opened:
        idle = [opened.enter_context(connect(narrow)) for _ in range(MOST)]
        answer = all_of(connect(narrow, PAGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
        assert answer.startswith(b"HTTP/1.1 200")
        assert all_of(idle[0]) == b"", "it was closed without a word"
        for connection in idle[1:]:
            connection.sendall(PAGE)
            assert connection.recv(15) == b"HTTP/1.1 200 OK"


def test_no_more_connections_are_taken_than_files_may_be_open():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert bounded(10**9, 1.0).most == (10**9 if hard == resource.RLIM_INFINITY else min(10**9, hard - RESERVED))
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_where_all_connections_are_at_work_the_next_is_told_to_come_back(narrow):
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n"
    with contextlib.ExitStack() as opened:
        busy = [opened.enter_context(connect(narrow, head + b"Expect: 100-continue\r\n\r\n")) for _ in range(MOST)]
        for connection in busy:
            assert connection.recv(65536).startswith(b"HTTP/1.1 100")  # its body is waited for
        answer = all_of(connect(narrow))
    found = problem(answer)
    assert (found["status"], found["type"]) == (503, "urn:shrinkml:problem:connections")
    assert f"{MOST} connections are at work" in found["detail"]
    assert b"retry-after: 1" in answer.lower()


def test_clients_that_never_read_their_answers_do_not_keep_their_places():
    """Each asks for more than the system buffers, again and again, and takes in nothing."""
    asks = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 300
    for address in serving(MOST, 0.5):
        with contextlib.ExitStack() as opened:
            for _ in range(MOST):
                deaf = opened.enter_context(socket.socket())
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.connect(address)
                deaf.sendall(asks)
            ask = PAGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            while not (answer := all_of(connect(address, ask))).startswith(b"HTTP/1.1 200"):
                assert problem(answer)["type"] == "urn:shrinkml:problem:connections"


def test_a_client_that_reads_slowly_gets_all_of_its_answer():
    patience_s = 1.0
    for address in serving(MOST, patience_s):
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        whole = all_of(connect(address, ask))
        with contextlib.ExitStack() as opened:
            slow = opened.enter_context(socket.socket())
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(address)
            slow.sendall(ask)
            began, found = time.monotonic(), b""
            while piece := slow.recv(len(whole) // 20):
                found += piece
                time.sleep(patience_s / 10)
        assert time.monotonic() - began > patience_s
        assert len(found) == len(whole)


def test_who_is_refused_may_send_the_request_all_the_same_and_reads_why(narrow):
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    with contextlib.ExitStack() as opened:
        busy = [opened.enter_context(connect(narrow, head)) for _ in range(MOST)]
        for connection in busy:
            assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        refused = opened.enter_context(connect(narrow))
        assert refused.recv(1, socket.MSG_PEEK) == b"H", "the answer is there before the request"
        for byte in PAGE:
            refused.sendall(bytes([byte]))  # a reset would come back after the first, and end the second
            time.sleep(0.001)
        assert problem(all_of(refused))["type"] == "urn:shrinkml:problem:connections"
