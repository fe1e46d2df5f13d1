"""Latency of a streaming recogniser as its users meet it, one thread: `python benchmarks/streaming.py MODEL...`.

Every utterance is heard in pieces of each length, by all models in turns. A row tells the time that a piece takes
beside its own length, all processing beside all speech (RTF), the speech that a model had heard when it wrote its last
streaming word (how far before or behind the end of the recording), and the time from the end to the final transcript,
which the pass that looks ahead writes.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import shrinkml
from server.cli.streaming import new_stream
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.audio import read_audio
from shrinkml.speech.manifest import read_manifest

PIECES_MS = (40, 80, 160, 320, 640)
ROOT = Path(__file__).parents[1]


class Run(NamedTuple):
    """One utterance, heard once: milliseconds of each piece and of the end, and where the last word was written."""

    pieces_ms: list[float]
    final_ms: float
    last_word_ms: float


def run(model: AsrModel, waveform: np.ndarray, piece_ms: int) -> Run:
    stream, size, pieces_ms = new_stream(model), piece_ms * model.sample_rate_hz // 1000, []
    text, heard, last_word = "", 0, 0
    for start in range(0, len(waveform), size):
        piece = waveform[start : start + size]
        before_s = time.perf_counter()
        now = stream.accept(piece)
        pieces_ms.append(1000 * (time.perf_counter() - before_s))
        heard += len(piece)
        if now != text:
            text, last_word = now, heard
    before_s = time.perf_counter()
    stream.finish()
    final_ms = 1000 * (time.perf_counter() - before_s)
    if stream.text != text:
        last_word = len(waveform)
    return Run(pieces_ms, final_ms, 1000 * (last_word - len(waveform)) / model.sample_rate_hz)


def row(name: str, piece_ms: int, runs: Sequence[Run], audio_s: float) -> dict[str, Any]:
    times = sorted(ms for one in runs for ms in one.pieces_ms)
    return {
        "model": name,
        "piece_ms": piece_ms,
        "median_ms": statistics.median(times),
        "p99_ms": times[int(0.99 * (len(times) - 1))],
        "rtf": (sum(times) + sum(one.final_ms for one in runs)) / 1000 / audio_s,
        "last_word_ms": statistics.median(one.last_word_ms for one in runs),
        "final_ms": statistics.median(one.final_ms for one in runs),
        "final_p99_ms": sorted(one.final_ms for one in runs)[int(0.99 * (len(runs) - 1))],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--manifest", type=Path, default=ROOT / "data" / "commands" / "test.jsonl")
    parser.add_argument("--utterances", type=int, default=50)
    parser.add_argument("--out", type=Path, help="file for the rows as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = {name: shrinkml.load(name) for name in options.models}
    utterances = read_manifest(options.manifest)[: options.utterances]
    rate_hz = next(iter(models.values())).sample_rate_hz
    waveforms = [read_audio(utterance.audio, rate_hz) for utterance in utterances]
    audio_s = sum(map(len, waveforms)) / rate_hz
    rows = []
    for piece_ms in PIECES_MS:
        runs: dict[str, list[Run]] = {name: [] for name in models}
        for waveform in (waveforms[0], *waveforms):
            for name, model in models.items():
                runs[name].append(run(model, waveform, piece_ms))
        rows += [row(name, piece_ms, found[1:], audio_s) for name, found in runs.items()]  # the first warms up
    columns = tuple(rows[0])
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for one in rows:
        print(f"| {' | '.join(f'{value:.3g}' if isinstance(value, float) else str(value) for value in one.values())} |")
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
