"""Events survive the way through JSON, and older or newer ones are read."""

import json
from datetime import UTC, datetime

import pytest

from shrinkml.events import Event, LoggedEvent, Progress

EVENT = Event("evaluated", "search/1", "search", "Plan 1.", {"wer": 0.25}, Progress(0.5, 3, 6, 12.5))


@pytest.mark.parametrize("event", [EVENT, Event("timed", "speed/1", "speed", "Timed.")])
def test_an_event_is_read_as_it_was_written(event):
    assert Event.from_json(json.loads(json.dumps(event.to_json()))) == event


def test_unknown_keys_of_an_event_are_left_aside_and_missing_facts_are_none():
    assert Event.from_json({"kind": "epoch", "key": "k", "stage": "s", "message": "m", "later": 1}) == Event(
        "epoch", "k", "s", "m"
    )


def test_an_entry_of_a_log_is_one_flat_object():
    entry = LoggedEvent(7, datetime(2026, 5, 1, 12, tzinfo=UTC), EVENT)
    flat = json.loads(json.dumps(entry.to_json()))
    assert (flat["sequence"], flat["at"], flat["kind"]) == (7, "2026-05-01T12:00:00+00:00", "evaluated")
    assert LoggedEvent.from_json(flat) == entry


def test_an_event_cannot_be_changed():
    with pytest.raises(AttributeError, match="cannot assign to field"):
        EVENT.kind = "epoch"
