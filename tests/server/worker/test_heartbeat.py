import os
import threading
import time

from server.worker import heartbeat
from server.worker.heartbeat import Pulse, beating, beating_in_store


def until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.005)


def test_who_has_not_begun_to_live_is_not_silent(tmp_path):
    pulse = Pulse(tmp_path / "pulse")
    assert pulse.silent_s is None
    pulse.reset()
    assert pulse.silent_s is None


def test_a_beat_ends_the_silence_again_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.01)
    pulse, looks = Pulse(tmp_path / "pulse"), []
    pulse.reset()
    with beating(tmp_path / "pulse", each_time=lambda: looks.append(None)):
        until(lambda: len(looks) > 3)
        assert pulse.silent_s < 60
    assert not any(thread.name == "heartbeat" for thread in threading.enumerate())
    before = pulse.silent_s
    until(lambda: pulse.silent_s > before)


def test_a_store_that_is_away_for_a_while_is_told_again(monkeypatch, caplog):
    monkeypatch.setattr(heartbeat, "STORE_BEAT_S", 0.01)
    beats = []

    def beat() -> None:
        beats.append(None)
        if len(beats) == 1:
            raise OSError("no answer")

    with beating_in_store(beat):
        until(lambda: len(beats) > 2)
    assert caplog.messages == ["no sign of life could be given to the store: no answer"]


def test_a_clock_that_was_set_is_no_silence(tmp_path):
    pulse = Pulse(tmp_path / "pulse")
    pulse.reset()
    for hours_ago in (5, 0, -5):
        os.utime(tmp_path / "pulse", times=2 * (time.time() - 3600 * hours_ago,))
        assert pulse.silent_s < 60


def test_a_home_that_is_gone_is_silent(tmp_path):
    pulse = Pulse(tmp_path / "gone" / "pulse")
    pulse.reset()
    with beating(tmp_path / "gone" / "pulse", each_time=lambda: None):
        assert pulse.silent_s is None
