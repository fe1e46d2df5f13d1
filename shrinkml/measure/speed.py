"""Speed of the compressed recogniser beside the original's: timed in turns, on the same machine, threads and speech."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from shrinkml.measure.speed_rows import Range, SpeedSetting, Speedup
from shrinkml.models.protocol import AsrModel

BATCH_SIZES = (1, 16)  # the two that a report heads with
MOST_S = 15.0  # of rounds of each setting

T = TypeVar("T")


def speedup(
    dense: AsrModel,
    compressed: AsrModel,
    features: Sequence[Tensor],
    durations_s: Sequence[float],
    *,
    runs: int = 5,
    threads: int = 1,
) -> Speedup:
    """Time `compressed` beside `dense`: how many times as fast it transcribes, one utterance and sixteen at a time.

    Args:
        dense: the original.
        compressed: what became of it; takes the same features.
        features: [frames, dims] per utterance.
        durations_s: seconds of audio of each utterance.
        runs: timed passes of each model per setting, at least 1.
        threads: of the headline figures; everything is also measured with all of the machine's.
    """
    thread_counts = sorted({threads, os.cpu_count() or 1}, key=lambda count: count != threads)
    settings = tuple(
        speed_at(dense, compressed, features, durations_s, batch_size=size, threads=count, runs=runs)
        for count in thread_counts
        for size in BATCH_SIZES
    )
    headline = {row.batch_size: row.speedup for row in settings if row.threads == threads}
    return Speedup(
        batch1=headline[1],
        batch16=headline[16],
        threads=threads,
        runs=min(row.runs for row in settings),
        n_utterances=len(features),
        audio_s=sum(durations_s),
        settings=settings,
    )


def speed_at(
    dense: AsrModel,
    compressed: AsrModel,
    features: Sequence[Tensor],
    durations_s: Sequence[float],
    *,
    batch_size: int,
    threads: int,
    runs: int,
    most_s: float = MOST_S,
) -> SpeedSetting:
    """Time `compressed` beside `dense` at one batch size on so many threads.

    The whole recogniser is timed (encoder and greedy decoding), without feature extraction. Every run transcribes all
    utterances with one model, then with the other, in turns; see `rounds_within`.

    Args:
        dense: the original.
        compressed: what became of it; takes the same features.
        features: [frames, dims] per utterance.
        durations_s: seconds of audio of each utterance.
        batch_size: utterances transcribed at once.
        threads: that torch may use.
        runs: timed passes of each model, at least 1.
        most_s: of all passes, begun before; large models get fewer.
    """
    batches = _batches(features, batch_size)
    with ready_to_time((dense, compressed), threads):
        times = rounds_within(
            lambda: (_pass_s(dense, batches), _pass_s(compressed, batches)), rounds=runs, most_s=most_s
        )
    audio_s = sum(durations_s)
    ratio, speedup_range = median_and_range([before / after for before, after in times])
    rtf_dense, rtf_dense_range = median_and_range([before / audio_s for before, _ in times])
    rtf_compressed, rtf_compressed_range = median_and_range([after / audio_s for _, after in times])
    return SpeedSetting(
        batch_size=batch_size,
        threads=threads,
        speedup=ratio,
        speedup_range=speedup_range,
        rtf_dense=rtf_dense,
        rtf_dense_range=rtf_dense_range,
        rtf_compressed=rtf_compressed,
        rtf_compressed_range=rtf_compressed_range,
        runs=len(times),
    )


def rounds_within(take: Callable[[], T], *, rounds: int, most_s: float) -> list[T]:
    """Return what `take` gives in each of so many rounds, after one that is not counted.

    No round begins where it would last beyond `most_s` seconds, and the first one counts where it leaves no time for
    another: large models get fewer rounds.
    """
    done: list[T] = []
    spent_s = last_s = 0.0
    while not done or (len(done) <= rounds and spent_s + last_s <= most_s):
        began = time.monotonic()
        done.append(take())
        last_s = time.monotonic() - began
        spent_s += last_s
    return done[1:] or done


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


def median_and_range(values: Sequence[float]) -> tuple[float, Range]:
    """Return the median of `values`, and (least, most)."""
    return statistics.median(values), (min(values), max(values))


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
