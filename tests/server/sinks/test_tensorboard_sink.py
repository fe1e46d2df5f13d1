import struct
from datetime import UTC, datetime

from tensorboardX.proto.event_pb2 import Event as BoardEvent

from server.sinks.tensorboard_sink import to_tensorboard
from shrinkml.events import Event, LoggedEvent, Progress

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def scalars(folder) -> list[tuple[str, int, float, float]]:
    """Name, step, value and time of each scalar in the files of `folder`: records with length and checksums."""
    found = []
    for path in folder.iterdir():
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = BoardEvent.FromString(content[at + 12 : at + 12 + length])
            found += [(v.tag, event.step, v.simple_value, event.wall_time) for v in event.summary.value]
            at += 16 + length
    return found


def test_the_numbers_of_events_are_scalars_at_the_events_own_step_and_time(tmp_path):
    facts = {"wer": 0.5, "parameters": 8, "within_budget": True, "strategy": "tpe", "plan": {"a": 4}}
    evaluated = Event("evaluated", "tpe/0/1", "search-3x", "", facts, Progress(0.25))
    with to_tensorboard(tmp_path / "board") as write:
        write(LoggedEvent(7, AT, evaluated))
        write(LoggedEvent(8, AT, Event("state", "s", "", "", {"state": "failed"})))
    assert scalars(tmp_path / "board") == [
        ("search-3x/evaluated/wer", 7, 0.5, AT.timestamp()),
        ("search-3x/evaluated/parameters", 7, 8.0, AT.timestamp()),
        ("progress", 7, 0.25, AT.timestamp()),
    ]
