"""One synthesiser a process: what needs a fresh one is tested in test_synthesis.py."""

import subprocess
import sys

import numpy as np
import pytest

from shrinkml.errors import AudioError
from shrinkml.speech.corpora.espeak import Espeak, Voice


@pytest.fixture(scope="module")
def espeak():
    return Espeak()


def duration_s(espeak: Espeak, text: str, voice: Voice) -> float:
    return len(espeak.say(text, voice)) / espeak.sample_rate_hz


def spectrum_peak_hz(waveform: np.ndarray, rate_hz: int, low_hz: float, high_hz: float) -> float:
    """The strongest period of the waveform between two pitches, by autocorrelation."""
    spectrum = np.abs(np.fft.rfft(waveform, 2 * len(waveform))) ** 2
    correlation = np.fft.irfft(spectrum)
    shortest, longest = int(rate_hz / high_hz), int(rate_hz / low_hz)
    return rate_hz / (shortest + int(correlation[shortest:longest].argmax()))


def test_speech_is_a_float_waveform_within_full_scale(espeak):
    waveform = espeak.say("turn on the lights", Voice("en-us+m3"))
    assert espeak.sample_rate_hz == 22_050
    assert waveform.dtype == np.float32
    assert 0.05 < np.abs(waveform).max() <= 1.0
    assert 0.5 < len(waveform) / espeak.sample_rate_hz < 3.0


def test_more_words_take_longer_and_a_higher_rate_shorter(espeak):
    slow, fast = Voice("en-us+m3", rate_wpm=120), Voice("en-us+m3", rate_wpm=220)
    short, long = "turn on the lights", "turn on the lights in the kitchen at half past seven"
    assert duration_s(espeak, long, slow) > 2 * duration_s(espeak, short, slow)
    assert duration_s(espeak, long, fast) < 0.75 * duration_s(espeak, long, slow)


def test_pitch_is_heard(espeak):
    low, high = (
        spectrum_peak_hz(espeak.say("one one one", Voice("en-us+m3", pitch=pitch, pitch_range=0)), 22_050, 60, 300)
        for pitch in (30, 70)
    )
    assert high > 1.1 * low


@pytest.mark.parametrize("name", ["en-us+nobody", "xx+m3", "en-us", ""])
def test_an_unknown_voice_is_refused(espeak, name):
    with pytest.raises(AudioError, match=f"eSpeak NG has no voice '{name}'".replace("+", r"\+")):
        espeak.say("hello", Voice(name))


@pytest.mark.parametrize("text", ["", "..."])
def test_text_without_words_is_refused(espeak, text):
    with pytest.raises(AudioError, match=r"eSpeak NG said nothing for .*; give it words"):
        espeak.say(text, Voice("en-us+m3"))


def test_missing_voice_data_is_refused(tmp_path):
    script = f"""
import espeakng_loader, pytest
from shrinkml.errors import AudioError
from shrinkml.speech.corpora.espeak import Espeak
espeakng_loader.get_data_path = lambda: {str(tmp_path / "gone")!r}
with pytest.raises(AudioError, match="found no voice data; reinstall the package espeakng-loader"):
    Espeak()
"""
    # In a fresh process: the library keeps the data that it has loaded once.
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
