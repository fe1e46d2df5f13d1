import json
import logging
import sys
from collections.abc import Iterator
from contextvars import copy_context
from datetime import UTC, datetime

import pytest

from server.log_context import REQUEST_ID, about_job
from server.log_lines import LINES, JsonLines, LogFormat, TextLines

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


def record(message: str, *arguments: object, **about: object) -> logging.LogRecord:
    made = logging.LogRecord("server.some", logging.WARNING, "some.py", 1, message, arguments, about.pop("error", None))
    made.created = MOMENT.timestamp()
    made.__dict__.update(about)
    return made


@pytest.fixture
def request_id() -> Iterator[str]:
    before = REQUEST_ID.set("r-1")
    yield "r-1"
    REQUEST_ID.reset(before)


def test_there_are_lines_of_every_format():
    assert set(LINES) == set(LogFormat)


def test_an_object_holds_the_message_and_no_more_than_is_known():
    assert json.loads(JsonLines().format(record("took %d ms", 3))) == {
        "at": "2026-01-02T03:04:05.678+00:00",
        "level": "warning",
        "logger": "server.some",
        "message": "took 3 ms",
    }


def test_an_object_names_the_request_and_the_job_that_it_is_about(request_id):
    with about_job("tiny-1"):
        line = json.loads(JsonLines().format(record("stage done")))
        other = json.loads(JsonLines().format(record("queued", job_id="tiny-2")))
    assert (line["request_id"], line["job_id"]) == ("r-1", "tiny-1")
    assert other["job_id"] == "tiny-2", "a message that names its job itself knows better"


def test_an_error_is_told_on_the_same_line():
    try:
        raise ValueError("two\nlines")
    except ValueError:
        text = JsonLines().format(record("failed", error=sys.exc_info()))
    assert "\n" not in text
    assert json.loads(text)["error"].endswith("ValueError: two\nlines")


def test_what_a_library_notes_on_its_message_stays_out_of_the_log():
    assert "hunter2" not in JsonLines().format(record("connected", password="hunter2"))


def test_half_characters_do_not_keep_a_line_from_being_written():
    assert json.loads(JsonLines().format(record("half \ud800")))["message"].encode()


def test_text_names_the_request_and_leaves_jobs_to_the_message(request_id):
    assert (
        TextLines()
        .format(record("job tiny-1 is queued", job_id="tiny-1"))
        .endswith(" server.some WARNING job tiny-1 is queued (request r-1)")
    )


def test_text_without_a_request_is_the_message():
    line = copy_context().run(TextLines().format, record("the worker ended"))
    assert line.endswith(" server.some WARNING the worker ended")
