"""The client against a scripted server: what it sends, and what it does when the network or the server misbehaves."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

import pytest
import yaml

from shrinkml.client import PATIENCE_S, Client
from shrinkml.errors import ConfigError, ServiceError
from shrinkml.job import parse_job

JOB = {"model": "reference/las", "data": {"dev": "d.jsonl", "test": "t.jsonl"}, "goal": {"compression_ratio": 4.0}}
DROP = None  # in a script: hang up without an answer


class ScriptedServer(ThreadingHTTPServer):
    """Answers each request with the next of `answers`: (status, headers, body), or hangs up."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ScriptedHandler)
        self.answers: list[tuple[int, dict[str, str], bytes] | None] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class ScriptedHandler(BaseHTTPRequestHandler):
    server: ScriptedServer

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        answer = self.server.answers.pop(0)
        if answer is DROP:
            self.close_connection = True
            return
        status, headers, content = answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    do_GET = do_POST = answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_: object) -> None:
        """Stays quiet."""


@pytest.fixture
def server(monkeypatch) -> Iterator[ScriptedServer]:
    monkeypatch.setattr("shrinkml.transport.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("shrinkml.client.FIRST_WAIT_S", 0.01)
    with ScriptedServer() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


def ok(value: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def stream(*sequences: int, cut: int = 0) -> tuple[int, dict[str, str], bytes]:
    """Events in a stream that breaks before its last `cut` bytes."""
    body = "".join(f": beat\n\nevent: epoch\ndata: {json.dumps(event(n))}\nid: {n}\n\n" for n in sequences).encode()
    headers = {"Content-Type": "text/event-stream", "Content-Length": str(len(body))}
    return 200, headers, body[: len(body) - cut]


def event(sequence: int) -> dict[str, object]:
    return {
        "sequence": sequence,
        "at": "2026-01-02T03:04:05+00:00",
        "kind": "epoch",
        "key": f"k{sequence}",
        "stage": "search",
        "message": f"event {sequence}",
        "data": {},
        "progress": None,
    }


@pytest.mark.parametrize("job", [JOB, parse_job(JOB)], ids=["mapping", "JobSpec"])
def test_a_job_is_submitted_from_a_mapping_or_a_spec(server, client, job):
    server.answers = [ok({"id": "job-1"})]
    assert client.submit(job).id == "job-1"
    method, path, headers, body = server.requests[0]
    assert (method, path) == ("POST", "/v1/jobs")
    assert json.loads(body)["goal"]["compression_ratio"] == 4.0
    assert headers["Idempotency-Key"]


def test_the_token_of_the_environment_is_sent_unless_another_is_given(server, monkeypatch):
    server.answers = [ok({"items": []})] * 3
    monkeypatch.delenv("SHRINKML_TOKEN", raising=False)
    with Client(server.url) as client:
        client.jobs()
    monkeypatch.setenv("SHRINKML_TOKEN", "abc")
    for token in (None, "def"):
        with Client(server.url, token=token) as client:
            client.jobs()
    sent = [headers.get("Authorization") for _, _, headers, _ in server.requests]
    assert sent == [None, "Bearer abc", "Bearer def"]


def test_the_token_is_sent_with_everything_that_is_asked_of_a_job(server):
    server.answers = [stream(1), ok({"state": "succeeded", "failure": None}), (204, {}, b"")]
    server.answers.insert(1, (204, {}, b""))
    with Client(server.url, token="abc") as client:
        assert len(list(client.job("job-1").events())) == 1
        client.job("job-1").status()
    assert [headers["Authorization"] for _, _, headers, _ in server.requests] == ["Bearer abc"] * 3


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
def test_a_job_is_submitted_from_a_file_with_its_paths_made_absolute(server, client, tmp_path, kind):
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(JOB))
    server.answers = [ok({"id": "job-1"})]
    client.submit(kind(tmp_path / "job.yaml"))
    sent = json.loads(server.requests[0][3])
    assert sent["data"]["dev"] == str(tmp_path / "d.jsonl")
    assert sent["model"] == "reference/las"


def test_a_file_that_holds_no_job_is_not_sent(server, client, tmp_path):
    with pytest.raises(ConfigError, match="no job file"):
        client.submit(tmp_path / "none.yaml")
    assert server.requests == []


def test_a_submission_that_is_tried_again_keeps_its_key(server, client):
    server.answers = [DROP, DROP, ok({"id": "job-1"})]
    assert client.submit(JOB).id == "job-1"
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in server.requests}) == 1


def test_two_submissions_have_different_keys_unless_one_is_given(server, client):
    server.answers = [ok({"id": "job-1"})] * 3
    client.submit(JOB)
    client.submit(JOB)
    client.submit(JOB, key="mine")
    keys = [headers["Idempotency-Key"] for _, _, headers, _ in server.requests]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_a_server_that_stays_away_is_named(server, client):
    server.answers = [DROP] * 5
    with pytest.raises(ServiceError, match=rf"cannot reach {server.url}/ .*`shrinkml serve` starts one"):
        client.jobs()


def test_a_problem_becomes_an_error_with_title_and_detail(server, client):
    problem = json.dumps({"title": "Queue full", "detail": "2 jobs wait already"}).encode()
    server.answers = [(503, {"Content-Type": "application/problem+json"}, problem)]
    with pytest.raises(ServiceError, match=r"^Queue full: 2 jobs wait already$"):
        client.submit(JOB)


def test_an_error_of_another_server_is_told_as_such(server, client):
    server.answers = [(502, {"Content-Type": "text/html"}, b"<h1>Bad gateway</h1>")]
    with pytest.raises(ServiceError, match=r"/v1/models answered 502 Bad Gateway; is it ShrinkML's URL\?"):
        client.models()


def test_events_go_on_where_a_broken_stream_ended(server, client):
    server.answers = [stream(1, 2, 3, cut=30), DROP, stream(3, 4), (204, {}, b"")]
    assert [entry.sequence for entry in client.job("j").events()] == [1, 2, 3, 4]
    asked = [headers.get("Last-Event-ID") for _, _, headers, _ in server.requests]
    assert asked == [None, "2", "2", "4"]


def test_events_can_start_later(server, client):
    server.answers = [stream(8), (204, {}, b"")]
    assert [entry.event.message for entry in client.job("j").events(after=7)] == ["event 8"]
    assert server.requests[0][2]["Last-Event-ID"] == "7"


def test_events_are_followed_across_a_restart_however_often_the_server_hangs_up_meanwhile(server, client, monkeypatch):
    monkeypatch.setattr("shrinkml.client.LONGEST_WAIT_S", 0.01)
    starting = (503, {"Content-Type": "application/problem+json"}, b'{"title": "Busy", "detail": "later"}')
    server.answers = [stream(1), *[DROP] * 12, *[starting] * 3, stream(2), (204, {}, b"")]
    assert [entry.sequence for entry in client.job("j").events()] == [1, 2]


def test_events_of_a_server_that_stays_away_end_with_a_way_back(server, client, monkeypatch):
    monkeypatch.setattr("shrinkml.client.PATIENCE_S", 0.2)
    monkeypatch.setattr("shrinkml.client.LONGEST_WAIT_S", 0.05)
    server.answers = [stream(1, cut=0), *[DROP] * 99]
    events = client.job("j").events()
    assert next(events).sequence == 1
    with pytest.raises(ServiceError, match=r"lost the server.*`shrinkml events j --follow` goes on"):
        next(events)


def test_events_are_followed_across_a_restart_after_a_long_silence(server, client, monkeypatch):
    clock = SimpleNamespace(now_s=0.0, sleep=time.sleep)
    clock.monotonic = lambda: clock.now_s
    monkeypatch.setattr("shrinkml.client.time", clock)
    server.answers = [stream(1, 2, cut=30), DROP, stream(2), (204, {}, b"")]
    events = client.job("j").events()
    assert next(events).sequence == 1
    clock.now_s += 2 * PATIENCE_S  # in which the stream only beats, until it breaks
    assert [entry.sequence for entry in events] == [2]


def test_who_is_refused_for_a_while_follows_later_or_is_told_why(server, client, monkeypatch):
    problem = {"title": "Owner limit", "detail": "16 clients of anna follow events just now"}
    full = (429, {"Content-Type": "application/problem+json"}, json.dumps(problem).encode())
    server.answers = [full, full, stream(1), (204, {}, b"")]
    assert [entry.sequence for entry in client.job("j").events()] == [1]
    monkeypatch.setattr("shrinkml.client.FIRST_PATIENCE_S", 0.05)
    server.answers = [full] * 99
    with pytest.raises(ServiceError, match=r"lost the server.*\(Owner limit: 16 clients of anna"):
        next(client.job("j").events())


def test_events_of_an_unknown_job_are_a_problem(server, client):
    problem = json.dumps({"title": "Unknown job", "detail": "no job 'j'"}).encode()
    server.answers = [(404, {"Content-Type": "application/problem+json"}, problem)]
    with pytest.raises(ServiceError, match="Unknown job: no job 'j'"):
        next(client.job("j").events())


def test_past_events_are_read_page_by_page(server, client):
    pages = [{"items": [event(1), event(2)], "next_after": 2}, {"items": [event(3)], "next_after": 3}]
    server.answers = [*map(ok, pages), ok({"items": [], "next_after": 3})]
    assert [entry.sequence for entry in client.job("j").past_events()] == [1, 2, 3]


@pytest.mark.parametrize("detail", ["no plan fits", "no plan fits."])
def test_waiting_for_a_failed_job_raises_what_it_says(server, client, detail):
    failure = {"stage": "search", "detail": detail, "hint": "Ask for less."}
    server.answers = [stream(1), (204, {}, b""), ok({"state": "failed", "failure": failure})]
    seen = []
    with pytest.raises(ServiceError, match=r"job j failed in stage search: no plan fits\. Ask for less\."):
        client.job("j").wait(on_event=seen.append)
    assert [entry.sequence for entry in seen] == [1]


def test_a_job_without_checkpoints_cannot_be_downloaded(server, client, tmp_path):
    server.answers = [ok({"items": []})]
    with pytest.raises(ServiceError, match="it has none: they are there once it has ended"):
        client.job("j").download(tmp_path)


def test_a_checkpoint_that_is_not_there_is_named_with_those_that_are(server, client, tmp_path):
    server.answers = [ok({"items": [{"checkpoint": "final"}]})]
    with pytest.raises(ServiceError, match="job j lacks checkpoints best; it has final"):
        client.job("j").download(tmp_path, only=["best"])


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_server_of_this_machine_is_asked_without_a_proxy(server, monkeypatch, variable):
    monkeypatch.setenv(variable, "http://127.0.0.1:9")  # where nobody listens
    server.answers = [(200, {}, b'{"items": []}')]
    with Client(server.url) as client:
        assert client.jobs() == []
