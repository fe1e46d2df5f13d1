import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shrinkml.errors import AudioError
from shrinkml.speech.audio import read_audio
from shrinkml.speech.corpora.espeak import Voice
from shrinkml.speech.corpora.synthesis import SAMPLE_RATE_HZ, Take, synthesise

CLEAN = Take("clean.flac", "turn on the kitchen lights", Voice("en-us+m3"), -20.0, "none", 20.0, 0.2, 0.3, seed=1)
NOISES = ("white", "pink", "babble")
SNR_DB = 15.0


def rms(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Name -> waveform of takes made in one shard."""
    folder = tmp_path_factory.mktemp("takes")
    takes = [CLEAN, replace(CLEAN, path="deep/inside/loud.flac", level_dbfs=-3.0)]
    takes += [replace(CLEAN, path=f"{noise}.flac", noise=noise, snr_db=SNR_DB) for noise in NOISES]
    durations = synthesise(takes, folder)
    waveforms = {Path(take.path).stem: read_audio(folder / take.path, SAMPLE_RATE_HZ) for take in takes}
    assert durations == [len(waveform) / SAMPLE_RATE_HZ for waveform in waveforms.values()]
    return waveforms


def test_a_take_without_noise_is_silent_before_and_after_the_words(recorded):
    clean = recorded["clean"]
    before, after = round(0.2 * SAMPLE_RATE_HZ), round(0.3 * SAMPLE_RATE_HZ)
    assert not clean[:before].any()
    assert not clean[-after:].any()
    assert np.abs(clean[before : before + 160]).max() > 0.0
    assert 1.0 < (len(clean) - before - after) / SAMPLE_RATE_HZ < 2.5


def test_the_level_is_that_of_the_speech(recorded):
    speech = recorded["clean"][round(0.2 * SAMPLE_RATE_HZ) : -round(0.3 * SAMPLE_RATE_HZ)]
    assert 20 * np.log10(rms(speech)) == pytest.approx(-20.0, abs=0.1)  # rounding to 16 bits


def test_a_take_that_would_clip_is_made_quieter(recorded):
    assert np.abs(recorded["loud"]).max() == pytest.approx(0.99, abs=0.001)


@pytest.mark.parametrize("noise", NOISES)
def test_noise_is_behind_the_whole_take_at_its_level(recorded, noise):
    before = recorded[noise][: round(0.2 * SAMPLE_RATE_HZ)]
    level_db = 20 * np.log10(rms(before))
    # Over 0.2 s, babble's own ups and downs and pink noise's slow waves stray by some dB.
    assert level_db == pytest.approx(-20.0 - SNR_DB, abs=1.0 if noise == "white" else 8.0)
    assert recorded[noise][-round(0.3 * SAMPLE_RATE_HZ) :].any()


def test_pink_noise_has_less_power_the_higher_the_frequency(recorded):
    def low_share(waveform: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(waveform[: round(0.2 * SAMPLE_RATE_HZ)])) ** 2
        return float(power[: len(power) // 8].sum() / power.sum())

    assert low_share(recorded["white"]) == pytest.approx(1 / 8, abs=0.05)
    assert low_share(recorded["pink"]) > 0.5


def test_the_same_takes_give_the_same_bytes_at_another_time_by_any_number_of_processes(tmp_path, monkeypatch):
    monkeypatch.setattr("shrinkml.speech.corpora.synthesis.SHARD_TAKES", 2)
    # f5 breathes: noise that eSpeak would seed with the seconds of the clock.
    takes = [replace(CLEAN, path=f"{i}.flac", voice=Voice("en+f5", pitch=40 + i), noise="babble") for i in range(5)]
    synthesise(takes, tmp_path / "a", workers=1)
    time.sleep(1.0)
    synthesise(takes, tmp_path / "b", workers=2)
    for take in takes:
        assert (tmp_path / "a" / take.path).read_bytes() == (tmp_path / "b" / take.path).read_bytes()


def test_a_failing_process_says_why(tmp_path):
    with pytest.raises(AudioError, match=r"(?s)synthesis failed with status 1.*no voice 'en\+nobody'"):
        synthesise([replace(CLEAN, voice=Voice("en+nobody"))], tmp_path)


def children(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
def test_no_process_outlives_a_parent_that_is_killed(tmp_path):
    script = (
        "from pathlib import Path; from shrinkml.speech.corpora.commands import prepare;"
        f"prepare(Path({str(tmp_path / 'commands')!r}), train=5000)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    try:
        assert wait_until(lambda: len(children(parent.pid)) == 2, 20.0)
        workers = children(parent.pid)
        assert wait_until(lambda: any(tmp_path.rglob("*.flac")), 20.0)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    assert wait_until(lambda: not any(running(pid) for pid in workers), 10.0)
    assert not (tmp_path / "commands").exists()
