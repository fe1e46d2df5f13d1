"""Uploads to a server in memory that keeps to the protocol, over connections that break."""

import base64
import hashlib
import json
import re
from collections.abc import Callable

import httpx
import pytest

from shrinkml.errors import ServiceError
from shrinkml.upload import send

CONTENT = bytes(range(256)) * 100


class Shelf:
    """A server that takes in one archive; what is done with a part is said one part at a time."""

    def __init__(self) -> None:
        self.content, self.state, self.problem = b"", "receiving", None
        self.parts: list[tuple[int, int]] = []
        self.faults: list[Callable[[bytes], bytes]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            return self.put(request)
        if request.method == "POST":
            self.announced = json.loads(request.content)
        elif self.state == "checking":
            self.state = "refused" if self.problem else "ready"
        return httpx.Response(200, json=self.view())

    def put(self, request: httpx.Request) -> httpx.Response:
        first, last, total = map(int, re.findall(r"\d+", request.headers["Content-Range"]))
        digest = base64.b64encode(hashlib.sha256(request.content).digest()).decode()
        assert request.headers["Content-Digest"] == f"sha-256=:{digest}:"
        assert (first, last) == (len(self.content), first + len(request.content) - 1)
        self.parts.append((first, last))
        came = self.faults.pop(0)(request.content) if self.faults else request.content
        self.content += came
        if len(came) < len(request.content):
            raise httpx.ReadError("cut", request=request)
        if len(self.content) == total:
            self.state = "checking"
        return httpx.Response(200, json=self.view())

    def view(self) -> dict[str, object]:
        links = {"self": "/v1/models/u", "content": "/v1/models/u/content"}
        state = {"state": self.state, "problem": self.problem, "received": len(self.content), "links": links}
        return {**self.announced, **state}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("shrinkml.upload.PART_BYTES", 10_000)
    monkeypatch.setattr("shrinkml.upload.FIRST_WAIT_S", 0.0)
    monkeypatch.setattr("shrinkml.upload.LOOK_S", 0.0)


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def send_to(shelf: Shelf, archive, **options) -> dict:
    with httpx.Client(base_url="http://server", transport=httpx.MockTransport(shelf)) as http:
        return send(http, "/v1/models", archive, **options)


def test_an_archive_is_announced_sent_in_parts_and_waited_for(shelf, archive):
    told = []
    assert send_to(shelf, archive, on_progress=lambda *it: told.append(it))["state"] == "ready"
    assert shelf.announced == {"name": "x.tar", "bytes": 25_600, "sha256": hashlib.sha256(CONTENT).hexdigest()}
    assert shelf.content == CONTENT
    assert shelf.parts == [(0, 9_999), (10_000, 19_999), (20_000, 25_599)]
    assert told == [(0, 25_600), (10_000, 25_600), (20_000, 25_600), (25_600, 25_600)]


@pytest.mark.parametrize("cut", [0, 1, 9_999])
def test_a_part_that_is_cut_goes_on_where_it_was_cut(shelf, archive, cut):
    shelf.faults = [lambda part: part[:cut], lambda part: part, lambda part: part[:cut]]
    assert send_to(shelf, archive)["state"] == "ready"
    assert shelf.content == CONTENT


def test_what_an_earlier_call_has_sent_is_not_sent_again(shelf, archive):
    shelf.content = CONTENT[:12_345]
    send_to(shelf, archive)
    assert shelf.parts[0] == (12_345, 22_344)
    assert shelf.content == CONTENT


def test_a_connection_that_brings_nothing_on_is_given_up_with_what_to_do(shelf, archive, monkeypatch):
    monkeypatch.setattr("shrinkml.upload.PATIENCE_S", 0.0)
    shelf.faults = [lambda part: b""] * 9
    with pytest.raises(ServiceError, match=r"x\.tar: the connection broke \(cut\); the same again goes on from here"):
        send_to(shelf, archive)
    assert len(shelf.parts) == 1


def test_a_server_that_is_busy_is_asked_again(shelf, archive):
    busy, put = [503, 409, 408], shelf.put

    def sometimes(request: httpx.Request) -> httpx.Response:
        return httpx.Response(busy.pop(), json={"detail": "wait"}) if busy else put(request)

    shelf.put = sometimes
    assert send_to(shelf, archive)["state"] == "ready"
    assert busy == []


def test_a_refusal_of_a_part_and_of_the_whole_are_told(shelf, archive):
    shelf.problem = "no model"
    with pytest.raises(ServiceError, match=r"x\.tar is refused: no model"):
        send_to(shelf, archive)
    problem = {"title": "Disk full", "detail": "no space"}
    full = Shelf()
    full.put = lambda _: httpx.Response(507, json=problem, headers={"Content-Type": "application/problem+json"})
    with pytest.raises(ServiceError, match="Disk full: no space"):
        send_to(full, archive)
