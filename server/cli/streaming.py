"""Transcripts that grow while speech is heard: files in pieces, in their own time if wanted, and standard input."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from shrinkml.errors import ConfigError
from shrinkml.models.families import FAMILIES
from shrinkml.models.protocol import AsrModel, SpeechStream
from shrinkml.speech.audio import read_audio

STANDARD_INPUT = Path("-")
PIECE_S = 0.1  # of speech that is heard at a time
SAMPLE_BYTES = 2  # of what standard input holds: 16-bit little-endian samples, mono, at the model's sample rate
FULL_SCALE = 32_768.0


class Heard(NamedTuple):
    """A transcript so far.

    Attributes:
        time_s: of speech that was heard.
        text: of it.
        final: True behind the end.
    """

    time_s: float
    text: str
    final: bool


def new_stream(model: AsrModel) -> SpeechStream:
    """An utterance that `model` hears piece by piece.

    Raises:
        ConfigError: it must hear all of an utterance before it writes.
    """
    stream = FAMILIES[model.family].operations().stream
    if stream is None:
        raise _silent(model)
    return stream(model)


def first_pass(model: AsrModel) -> AsrModel:
    """The part of `model` that writes while it hears.

    Raises:
        ConfigError: it must hear all of an utterance before it writes.
    """
    found = FAMILIES[model.family].operations().first_pass
    if found is None:
        raise _silent(model)
    return found(model)


def _silent(model: AsrModel) -> ConfigError:
    return ConfigError(
        f"a model of family {FAMILIES[model.family].stored_as!r} hears an utterance to its end before it writes; "
        "allowed: one that streams, a transducer (configs/train/transducer.yaml)"
    )


def hear(model: AsrModel, audio: Path, *, real_time: bool = False) -> Iterator[Heard]:
    """The transcript of `audio`, each time that it changes, and at the end.

    Args:
        model: one that streams.
        audio: a file, or STANDARD_INPUT.
        real_time: hear a file no faster than it plays.

    Raises:
        ConfigError: the model does not stream.
        AudioError: a file that cannot be read.
    """
    stream, rate_hz = new_stream(model), model.sample_rate_hz
    pieces = _spoken(sys.stdin.buffer, rate_hz) if audio == STANDARD_INPUT else _read(audio, rate_hz, real_time)
    time_s, text = 0.0, ""
    for piece in pieces:
        time_s += len(piece) / rate_hz
        if stream.accept(piece) != text:
            text = stream.text
            yield Heard(time_s, text, final=False)
    yield Heard(time_s, stream.finish(), final=True)


def _read(path: Path, rate_hz: int, real_time: bool) -> Iterator[np.ndarray]:
    waveform, size, start_s = read_audio(path, rate_hz), int(PIECE_S * rate_hz), time.monotonic()
    for start in range(0, len(waveform), size):
        piece = waveform[start : start + size]
        if real_time:
            time.sleep(max(0.0, start_s + (start + len(piece)) / rate_hz - time.monotonic()))
        yield piece


def _spoken(source: BinaryIO, rate_hz: int) -> Iterator[np.ndarray]:
    while block := source.read(SAMPLE_BYTES * int(PIECE_S * rate_hz)):
        whole = len(block) - len(block) % SAMPLE_BYTES
        yield np.frombuffer(block[:whole], "<i2").astype(np.float32) / FULL_SCALE
