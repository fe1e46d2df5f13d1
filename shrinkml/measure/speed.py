"""Speed of the compressed recogniser beside the original's: timed in turns, on the same machine, threads and speech."""

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from shrinkml.models.protocol import AsrModel


def speedup(
    dense: AsrModel,
    compressed: AsrModel,
    features: Sequence[Tensor],
    durations_s: Sequence[float],
    *,
    batch_sizes: Sequence[int] = (1, 16),
    runs: int = 5,
    threads: int = 1,
) -> dict[str, Any]:
    """Time `compressed` beside `dense`: how many times as fast it transcribes, by batch size.

    The whole recogniser is timed (encoder and greedy decoding), without feature extraction. Every run transcribes all
    utterances with one model, then with the other, in turns, after one pass of each that is not counted.

    Args:
        dense: the original.
        compressed: what became of it; takes the same features.
        features: [frames, dims] per utterance.
        durations_s: seconds of audio of each utterance.
        batch_sizes: utterances transcribed at once.
        runs: timed passes of each model per setting, at least 1.
        threads: of the headline figures; everything is also measured with all of the machine's.

    Returns:
        `batch<size>`: median over the runs of (dense time / compressed time) at `threads`, for every batch size;
        `threads`, `runs`, `n_utterances`, `audio_s`; and `settings`, one row per batch size and thread count:
        `batch_size`, `threads`, `speedup`, `speedup_range`, and real-time factors (processing time / audio time)
        `rtf_dense`, `rtf_dense_range`, `rtf_compressed`, `rtf_compressed_range`, medians with [least, most].
    """
    thread_counts = sorted({threads, os.cpu_count() or 1}, key=lambda count: count != threads)
    settings = [
        {"batch_size": size, "threads": count, **_compare(dense, compressed, features, durations_s, size, runs, count)}
        for count in thread_counts
        for size in batch_sizes
    ]
    return {
        **{f"batch{row['batch_size']}": row["speedup"] for row in settings if row["threads"] == threads},
        "threads": threads,
        "runs": runs,
        "n_utterances": len(features),
        "audio_s": sum(durations_s),
        "settings": settings,
    }


def _compare(
    dense: AsrModel,
    compressed: AsrModel,
    features: Sequence[Tensor],
    durations_s: Sequence[float],
    batch_size: int,
    runs: int,
    threads: int,
) -> dict[str, Any]:
    """One row of `speedup`'s settings."""
    batches = _batches(features, batch_size)
    with ready_to_time((dense, compressed), threads):
        for model in (dense, compressed):
            _pass_s(model, batches)
        times = [(_pass_s(dense, batches), _pass_s(compressed, batches)) for _ in range(runs)]
    audio_s = sum(durations_s)
    return {
        **median_and_range("speedup", [before / after for before, after in times]),
        **median_and_range("rtf_dense", [before / audio_s for before, _ in times]),
        **median_and_range("rtf_compressed", [after / audio_s for _, after in times]),
    }


def _batches(features: Sequence[Tensor], batch_size: int) -> list[list[Tensor]]:
    """`features` in batches of similar length, longest first."""
    longest_first = sorted(features, key=len, reverse=True)
    return [longest_first[start : start + batch_size] for start in range(0, len(longest_first), batch_size)]


def _pass_s(model: AsrModel, batches: Sequence[Sequence[Tensor]]) -> float:
    """Seconds that `model` takes for all `batches`."""
    start = time.perf_counter()
    for batch in batches:
        model.transcribe(batch)
    return time.perf_counter() - start


def median_and_range(name: str, values: Sequence[float]) -> dict[str, Any]:
    """`name`: the median of `values`; `name`_range: [least, most]."""
    return {name: statistics.median(values), f"{name}_range": [min(values), max(values)]}


@contextmanager
def ready_to_time(models: Sequence[AsrModel], threads: int) -> Iterator[None]:
    """The models in evaluation mode and torch on `threads` threads; both as they were afterwards."""
    training = [model.module.training for model in models]
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    for model in models:
        model.module.eval()
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        for model, was_training in zip(models, training, strict=True):
            model.module.train(was_training)
