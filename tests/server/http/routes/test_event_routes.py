import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest

from server.auth.tokens import new_token
from server.http.routes import event_routes
from server.http.turnstile import Turnstile
from server.jobs.job_state import JobState
from shrinkml.events import Event
from shrinkml.transport import parse_events

SSE = {"Accept": "text/event-stream"}


@pytest.fixture
def job_id(store, spec) -> str:
    """A running job with events 1 (queued), 2 (running), 3 and 4."""
    store.submit(spec, max_queued=9)
    job = store.claim("w")
    for i in range(2):
        store.log(job, Event("epoch", f"n{i}", "search", f"note {i}", {"i": i}))
    return job.id


def test_events_come_in_pages(http, job_id):
    first = http.get(f"/v1/jobs/{job_id}/events?limit=3").json()
    assert [item["sequence"] for item in first["items"]] == [1, 2, 3]
    rest = http.get(f"/v1/jobs/{job_id}/events?after={first['next_after']}").json()
    assert [(item["sequence"], item["message"], item["data"]) for item in rest["items"]] == [(4, "note 1", {"i": 1})]
    assert (rest["next_after"], rest["state"]) == (4, "running")


def test_a_page_after_the_last_event_is_empty(http, job_id):
    assert http.get(f"/v1/jobs/{job_id}/events?after=4").json() == {"items": [], "next_after": 4, "state": "running"}


def test_a_stream_brings_what_is_there_then_what_happens_and_ends_with_the_job(http, store, job_id):
    def finish():
        time.sleep(0.4)
        store.log(store.get(job_id), Event("epoch", "n2", "search", "note 2"))
        store.finish(store.get(job_id), JobState.SUCCEEDED)

    thread = threading.Thread(target=finish)
    with http.stream("GET", f"/v1/jobs/{job_id}/events", headers=SSE) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        thread.start()
        seen = list(parse_events(response.iter_lines()))
    thread.join()
    assert [entry.sequence for entry in seen] == [1, 2, 3, 4, 5, 6]
    assert seen[-1].event.data["state"] == "succeeded"


def test_a_broken_stream_goes_on_after_the_last_event_id(http, store, job_id):
    store.finish(store.get(job_id), JobState.SUCCEEDED)
    text = http.get(f"/v1/jobs/{job_id}/events", headers={**SSE, "Last-Event-ID": "3"}).text
    assert [line for line in text.splitlines() if line.startswith(("id:", "event:"))] == [
        "event: epoch",
        "id: 4",
        "event: state",
        "id: 5",
    ]


def test_a_client_that_comes_back_after_the_end_is_told_to_stay_away(http, store, job_id):
    store.finish(store.get(job_id), JobState.SUCCEEDED)
    assert http.get(f"/v1/jobs/{job_id}/events", headers={**SSE, "Last-Event-ID": "5"}).status_code == 204


def test_a_silent_stream_beats_so_that_proxies_keep_it(http, store, job_id, monkeypatch):
    monkeypatch.setattr(event_routes, "HEARTBEAT_S", 0.3)
    with http.stream("GET", f"/v1/jobs/{job_id}/events", headers={**SSE, "Last-Event-ID": "4"}) as response:
        assert next(response.iter_lines()).startswith(":")
    store.finish(store.get(job_id), JobState.SUCCEEDED)


def test_a_stream_of_an_unknown_job_is_a_problem(http):
    response = http.get("/v1/jobs/nobody/events", headers=SSE)
    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json")


def test_a_last_event_id_that_is_no_number_is_a_problem(http, job_id):
    response = http.get(f"/v1/jobs/{job_id}/events", headers={**SSE, "Last-Event-ID": "x"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "last-event-id"


def test_there_are_so_many_streams_and_the_next_is_told_when_to_come_back(http, services, server, store, job_id):
    server[1].state.services = replace(services, streams=Turnstile(1))
    path = f"/v1/jobs/{job_id}/events"
    with http.stream("GET", path, headers=SSE) as first:
        lines = first.iter_lines()
        next(lines)
        second = http.get(path, headers=SSE)
        assert (second.status_code, second.json()["type"]) == (503, "urn:shrinkml:problem:busy")
        assert second.headers["Retry-After"] == "1"
        assert http.get(path).status_code == 200, "pages are no streams"
        store.finish(store.get(job_id), JobState.SUCCEEDED)
        list(lines)
    assert http.get(path, headers=SSE).status_code == 200


def test_everybody_who_follows_a_job_gets_its_whole_log(http, store, job_id):
    with ExitStack() as opened:
        streams = [opened.enter_context(http.stream("GET", f"/v1/jobs/{job_id}/events", headers=SSE)) for _ in range(9)]
        store.log(store.get(job_id), Event("epoch", "n2", "search", "note 2"))
        store.finish(store.get(job_id), JobState.SUCCEEDED)
        for stream in streams:
            assert [entry.sequence for entry in parse_events(stream.iter_lines())] == [1, 2, 3, 4, 5, 6]


def test_a_stream_ends_soon_when_its_token_is_revoked_and_who_comes_back_is_told(http, services, store, spec):
    token, secret = new_token("anna")
    services.tokens.add(token)
    job, _ = store.submit(spec, max_queued=9, owner="anna")
    headers = {**SSE, "Authorization": f"Bearer {secret}"}
    with http.stream("GET", f"/v1/jobs/{job.id}/events", headers=headers) as stream:
        lines = stream.iter_lines()
        next(lines)
        services.tokens.revoke(token.id)
        list(lines)  # it ends, though the job waits
    assert http.get(f"/v1/jobs/{job.id}/events", headers=headers).status_code == 401


def test_the_first_token_ends_the_streams_of_those_without_one(http, services, job_id):
    with http.stream("GET", f"/v1/jobs/{job_id}/events", headers=SSE) as stream:
        lines = stream.iter_lines()
        next(lines)
        services.tokens.add(new_token("anna")[0])
        list(lines)


def test_a_stream_ends_when_its_job_is_deleted(http, store, spec, services, server, job_id):
    store.finish(store.get(job_id), JobState.SUCCEEDED)
    deleted = replace(services, store=Deleting(store))
    server[1].state.services = deleted
    with http.stream("GET", f"/v1/jobs/{job_id}/events", headers=SSE) as stream:
        assert [entry.sequence for entry in parse_events(stream.iter_lines())] == [1, 2, 3, 4, 5]
    assert http.get(f"/v1/jobs/{job_id}/events", headers=SSE).status_code == 404


class Deleting:
    """A store that deletes a job once all of its events were read."""

    def __init__(self, store) -> None:
        self._store = store

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    def events(self, job_id: str, *, after: int, limit: int):
        found = self._store.events(job_id, after=after, limit=limit)
        if len(found) > 1:
            self._store.delete(job_id, lambda: None)
        return found


def test_one_owner_has_so_many_streams_and_leaves_room_for_others(http, services, server, store, spec):
    server[1].state.services = replace(services, streams=Turnstile(9, most_of_one=1))
    tokens = {owner: new_token(owner) for owner in ("anna", "bert")}
    jobs = {owner: store.submit(spec, max_queued=9, owner=owner)[0].id for owner in tokens}
    for token, _ in tokens.values():
        services.tokens.add(token)

    def follow(owner: str):
        headers = {**SSE, "Authorization": f"Bearer {tokens[owner][1]}"}
        return http.stream("GET", f"/v1/jobs/{jobs[owner]}/events", headers=headers)

    with follow("anna") as first, follow("anna") as second, follow("bert") as other:
        assert (first.status_code, second.status_code, other.status_code) == (200, 429, 200)
        assert "1 clients of anna follow events just now" in second.read().decode()
        assert int(second.headers["Retry-After"]) > 0
        for job_id in jobs.values():
            store.cancel(job_id)
        for stream in (first, other):
            list(stream.iter_lines())
    assert follow_again(follow) == 200


def follow_again(follow) -> int:
    with follow("anna") as stream:
        return stream.status_code
