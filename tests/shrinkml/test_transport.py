"""Requests survive a bad connection, and what a server refuses is said in its words."""

import json
from datetime import UTC, datetime

import httpx
import pytest

from shrinkml import transport
from shrinkml.errors import ConfigError, ServiceError
from shrinkml.events import Event, LoggedEvent
from shrinkml.transport import (
    TRIES,
    bearer,
    is_loopback,
    parse_events,
    persistently,
    raise_for_problem,
    refusal_for_now,
)

REQUEST = httpx.Request("GET", "http://127.0.0.1:8765/v1/jobs?limit=1")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(transport, "FIRST_WAIT_S", 0.0)


def failing(n):
    """A request whose connection fails `n` times, and the calls of it."""
    calls = []

    def attempt():
        calls.append(len(calls))
        if len(calls) <= n:
            raise httpx.ConnectError("refused", request=REQUEST)
        return "answer"

    return attempt, calls


def test_a_request_is_tried_again_while_the_connection_fails():
    attempt, calls = failing(TRIES - 1)
    assert persistently(attempt) == "answer"
    assert len(calls) == TRIES


def test_a_server_that_stays_away_is_named_with_what_starts_one():
    attempt, calls = failing(TRIES)
    with pytest.raises(ServiceError, match=r"cannot reach http://127.0.0.1:8765/ \(refused\).*`shrinkml serve`"):
        persistently(attempt)
    assert len(calls) == TRIES


def test_a_token_becomes_a_header_and_none_becomes_nothing():
    assert bearer("a-Z_0.~+/=") == {"Authorization": "Bearer a-Z_0.~+/="}
    assert bearer("abc\n") == bearer(" abc ") == {"Authorization": "Bearer abc"}
    assert [bearer(none) for none in (None, "", " \n")] == [{}] * 3


@pytest.mark.parametrize("wrong", ["sesame open", "sesame\nX: y", "s\u00e9same", "sesame\0", "=sesame"])
def test_what_is_no_token_is_refused_and_not_told(wrong):
    with pytest.raises(
        ConfigError, match=r"SHRINKML_TOKEN holds what no token has.*`shrinkml token create`"
    ) as refused:
        bearer(wrong)
    assert "same" not in str(refused.value).replace("SHRINKML_TOKEN", "")


def test_a_success_is_no_problem():
    raise_for_problem(httpx.Response(202, request=REQUEST))


def test_a_problem_is_said_in_its_own_words():
    body = json.dumps({"title": "No such job", "detail": "there is no job x"})
    answer = httpx.Response(404, content=body, headers={"Content-Type": transport.PROBLEM}, request=REQUEST)
    with pytest.raises(ServiceError, match="No such job: there is no job x"):
        raise_for_problem(answer)


def test_an_error_of_another_server_is_said_with_its_address():
    with pytest.raises(ServiceError, match=r"/v1/jobs\?limit=1 answered 502 Bad Gateway; is it ShrinkML's URL\?"):
        raise_for_problem(httpx.Response(502, text="proxy", request=REQUEST))


def test_a_refusal_that_may_pass_is_told_from_one_that_will_not():
    body = {"title": "Busy", "detail": "later"}
    for status in (429, 503):
        answer = httpx.Response(status, json=body, headers={"Content-Type": transport.PROBLEM}, request=REQUEST)
        assert str(refusal_for_now(answer)) == "Busy: later"
    assert refusal_for_now(httpx.Response(200, request=REQUEST)) is None
    with pytest.raises(ServiceError, match="answered 404"):
        refusal_for_now(httpx.Response(404, request=REQUEST))


def test_events_are_read_from_a_stream_and_all_else_in_it_is_left_aside():
    entry = LoggedEvent(1, datetime(2026, 5, 1, tzinfo=UTC), Event("timed", "k", "speed", "Timed."))
    lines = [": a comment", "id: 1", f"data: {json.dumps(entry.to_json())}", "", "", "data: {unfinished"]
    assert list(parse_events(lines)) == [entry]


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8765", True),
        ("http://127.8.9.1", True),
        ("http://localhost:8765/", True),
        ("http://me.localhost", True),
        ("http://[::1]:8765", True),
        ("http://example.org:8765", False),
        ("http://localhost.example.org", False),
        ("http://10.0.0.1", False),
    ],
)
def test_a_server_of_this_machine_is_told_by_its_address(url, here):
    assert is_loopback(url) == here
