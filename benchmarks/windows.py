"""Whisper in short windows, in loops, in silence and on long recordings: `python benchmarks/windows.py MODEL...`.

- windows: those that end so many seconds behind the words of each utterance, instead of 30 s: the WER, the transcripts
  that are equal to those of whole windows (the same words), and the processor's seconds.
- loops: the WER in whole windows, where transcripts that repeat themselves are ended, and where they are left alone.
- silence: what is heard in 20 recordings without speech: digital silence, noise, tones, clicks, pauses of recordings.
- long: the utterances of each speaker joined to one recording, which is cut where it is quiet.
"""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

import shrinkml
from shrinkml.measure.evaluation import transcripts
from shrinkml.measure.file_transcripts import transcribe_files
from shrinkml.models.protocol import AsrModel
from shrinkml.speech import loops
from shrinkml.speech.audio import read_audio, write_flac
from shrinkml.speech.manifest import Utterance, read_manifest
from shrinkml.speech.scoring import score, word_errors
from shrinkml.speech.text import normalise
from shrinkml.training.dataset import Dataset, load_dataset

BATCH_SIZE = 8
PAUSE_S = 0.1  # of a recording, taken for its silence
COLUMNS = ("model", "silence behind the words", "WER", "inserted words", "equal transcripts", "seconds")


@contextmanager
def loops_left_alone() -> Iterator[None]:
    """Inside, no transcript is ended for what it repeats."""
    before, loops.MOST_COMPRESSION = loops.MOST_COMPRESSION, math.inf
    try:
        yield
    finally:
        loops.MOST_COMPRESSION = before


def window_rows(
    name: str, model: AsrModel, speech: Dataset, tails: Sequence[float | None]
) -> Iterator[tuple[str, ...]]:
    """The cells of each tail, the first of which is all of the window."""
    whole: list[str] = []
    for tail_s in tails:
        model.window_tail_s = tail_s
        began = time.process_time()
        heard = transcripts(model, speech, batch_size=BATCH_SIZE)
        seconds = time.process_time() - began
        whole = whole or heard
        equal = sum(normalise(one) == normalise(other) for one, other in zip(heard, whole, strict=True))
        told = "all of the window" if tail_s is None else f"{tail_s:g} s"
        yield (name, told, *errors(speech, heard), f"{equal} of {len(speech)}", f"{seconds:.0f}")


def errors(speech: Dataset, heard: list[str]) -> tuple[str, str]:
    """The WER, and the words that were inserted."""
    found = score(speech.texts, heard)
    return f"{100 * found.wer:.2f} %", str(found.insertions)


def loop_row(name: str, model: AsrModel, speech: Dataset) -> tuple[str, ...]:
    """The errors where loops are ended, and where they are not."""
    ended = transcripts(model, speech, batch_size=BATCH_SIZE)
    with loops_left_alone():
        alone = transcripts(model, speech, batch_size=BATCH_SIZE)
    changed = sum(one != other for one, other in zip(ended, alone, strict=True))
    return (name, *errors(speech, ended), *errors(speech, alone), f"{changed} of {len(speech)}")


def silences(utterances: Sequence[Utterance], rate: int) -> Iterator[tuple[str, np.ndarray]]:
    """20 recordings without speech, each with its name."""
    random = np.random.default_rng(0)
    for length_s in (1, 3, 10, 29):
        yield f"digital silence, {length_s} s", np.zeros(length_s * rate)
    for length_s, loudness in ((2, 0.001), (5, 0.01), (10, 0.1), (25, 0.01)):
        yield f"white noise of {loudness:g}, {length_s} s", random.normal(0, loudness, length_s * rate)
    for length_s, loudness in ((3, 0.01), (8, 0.05), (20, 0.02)):
        walk = np.cumsum(random.normal(0, 1, length_s * rate))
        rumble = walk - np.convolve(walk, np.ones(801) / 801, "same")
        yield f"rumble of {loudness:g}, {length_s} s", loudness * rumble / rumble.std()
    for length_s, pitch_hz in ((3, 50), (8, 440)):
        yield (
            f"tone of {pitch_hz} Hz, {length_s} s",
            0.1 * np.sin(2 * np.pi * pitch_hz * np.arange(length_s * rate) / rate),
        )
    clicks = np.zeros(6 * rate)
    clicks[::rate] = 0.8
    yield "clicks, 6 s", clicks
    some = utterances[:: max(1, len(utterances) // 6)]
    for one, length_s in zip(some, (2, 4, 6, 10, 15, 25), strict=False):
        yield f"pause of a recording, {length_s} s", _pause(read_audio(one.audio, rate), length_s, rate)


def _pause(waveform: np.ndarray, length_s: float, rate: int) -> np.ndarray:
    """The quietest moment of `waveform`, to and fro."""
    n = int(PAUSE_S * rate)
    starts = range(0, len(waveform) - n, n // 4)
    start = min(starts, key=lambda i: float(np.square(waveform[i : i + n]).sum()))
    there = waveform[start : start + n]
    return np.resize(np.concatenate([there, there[::-1]]), int(length_s * rate))


def silence_row(name: str, model: AsrModel, utterances: Sequence[Utterance]) -> tuple[str, ...]:
    """The number of recordings without speech in which nothing is heard, and what is heard in the others."""
    rate = model.sample_rate_hz
    heard = {
        called: model.transcribe([model.features(waveform.astype(np.float32))])[0]
        for called, waveform in silences(utterances, rate)
    }
    wrong = {called: text for called, text in heard.items() if normalise(text)}
    told = "; ".join(f"{called}: {text[:40]}" for called, text in wrong.items())
    return (name, f"{len(heard) - len(wrong)} of {len(heard)}", told)


def long_row(name: str, model: AsrModel, utterances: Sequence[Utterance]) -> tuple[str, ...]:
    """The WER of the utterances one by one, and of those of each speaker joined."""
    rate = model.sample_rate_hz
    groups = [list(of_one) for _, of_one in groupby(utterances, key=lambda one: one.speaker)]
    one_by_one = transcribe_files(model, [one.audio for one in utterances], batch_size=BATCH_SIZE)
    with TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.flac" for i in range(len(groups))]
        for file, of_one in zip(files, groups, strict=True):
            write_flac(file, np.concatenate([read_audio(one.audio, rate) for one in of_one]), rate)
        joined = transcribe_files(model, files, batch_size=BATCH_SIZE)
    texts = [" ".join(one.text for one in of_one) for of_one in groups]
    longest = max(sum(one.duration_s for one in of_one) for of_one in groups)
    wers = (
        word_errors([one.text for one in utterances], one_by_one).wer,
        word_errors(texts, joined).wer,
    )
    return (name, *(f"{100 * wer:.2f} %" for wer in wers), f"{len(groups)}, the longest {longest:.0f} s")


def table(columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    """Print `rows`, each as soon as it is there."""
    for cells in (columns, ["---"] * len(columns)):
        print(f"| {' | '.join(cells)} |")
    for cells in rows:
        print(f"| {' | '.join(cells)} |", flush=True)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="checkpoints of a Whisper, or folders of transformers")
    parser.add_argument("--manifest", type=Path, default=Path("data/librispeech-30s/dev.jsonl"))
    parser.add_argument("--utterances", type=int, default=60, help="of the manifest, spread over it")
    parser.add_argument("--tails", type=float, nargs="+", default=[1, 3, 5, 10], help="seconds of silence")
    parser.add_argument("--tables", nargs="+", default=["windows", "loops", "silence", "long"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    utterances = read_manifest(arguments.manifest)
    few = [utterances[i] for i in np.unique(np.linspace(0, len(utterances) - 1, arguments.utterances).astype(int))]
    models = {Path(name).name: shrinkml.load(name) for name in arguments.models}
    if "windows" in arguments.tables:
        for name, model in models.items():
            table(COLUMNS, window_rows(name, model, load_dataset(model, few), [None, *arguments.tails]))
            model.window_tail_s = None
    if "loops" in arguments.tables:
        columns = ("model", "WER", "inserted words", "WER, loops left alone", "inserted words", "changed")
        table(columns, (loop_row(name, model, load_dataset(model, few)) for name, model in models.items()))
    if "silence" in arguments.tables:
        table(("model", "nothing heard in", "else"), (silence_row(*one, few) for one in models.items()))
    if "long" in arguments.tables:
        columns = ("model", "one by one", "joined", "recordings")
        table(columns, (long_row(*one, few) for one in models.items()))


if __name__ == "__main__":
    main()
