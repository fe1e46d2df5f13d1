"""The original and the compressed recogniser in every runtime they exist for: speed, memory, loading, size."""

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from operator import attrgetter
from pathlib import Path
from statistics import median

from shrinkml.errors import LostProcessError
from shrinkml.events import ShouldStop
from shrinkml.measure.speed import BATCH_SIZES, MOST_S, median_and_range, rounds_within
from shrinkml.measure.speed_rows import RuntimeRow
from shrinkml.measure.timed_process import TORCH, Pass, TimedProcess
from shrinkml.speech.utterance import Utterance
from shrinkml.storage.model_folder import look_into

log = logging.getLogger(__name__)

INT8 = "int8"
ROUNDS = 5

Passes = dict[int, Pass]  # by batch size
Rtfs = dict[int, list[float]]  # processing time / audio time by batch size, of each round


@dataclass(frozen=True, slots=True)
class Contender:
    """A model in a runtime.

    Attributes:
        runtime: TORCH or ONNXRUNTIME of `shrinkml.measure.timed_process`.
        model: what it is called in the table.
        precision: of its products: "float32" or INT8.
        folder: where it lies.
    """

    runtime: str
    model: str
    precision: str
    folder: Path

    @property
    def stored_bytes(self) -> int:
        """Size of a checkpoint's weights, which is rounded when it is opened, or of all that an export is made of."""
        if self.runtime == TORCH:
            return look_into(self.folder).stored_bytes
        return sum(path.stat().st_size for path in self.folder.iterdir())


def thread_counts() -> tuple[int, ...]:
    """One, and as many as this process may use where that is more."""
    return tuple(sorted({1, len(os.sched_getaffinity(0))}))


def compare_runtimes(
    contenders: Sequence[Contender],
    utterances: Sequence[Utterance],
    *,
    threads: Sequence[int] | None = None,
    rounds: int = ROUNDS,
    most_s: float = MOST_S,
    should_stop: ShouldStop = lambda: False,
) -> list[RuntimeRow]:
    """A row per contender and thread count, each from a process of its own.

    Those of one runtime, precision and thread count are started one after another, and then take turns, so that no more
    models are held at once: in each round every one transcribes all utterances, from waveform to text, at every batch
    size. A first round is not counted, unless it leaves no time for another. Seconds of one thread are the processor's,
    which other programs disturb little; those of several are the clock's.

    Args:
        contenders: what to time; those of a runtime and precision are compared with the first of them.
        utterances: what they hear.
        threads: the thread counts; `thread_counts()` if absent.
        rounds: that are counted.
        most_s: no further round of those that take turns begins where it would last beyond so many seconds.
        should_stop: asked often.

    Raises:
        CheckpointError: a model cannot be run.
        LostProcessError: a process was killed, and when all were timed again, one of them too.
        StoppedError: stopped.
    """
    audio, audio_s = [u.audio for u in utterances], sum(u.duration_s for u in utterances)
    rows: list[RuntimeRow] = []
    for count, group in product(threads or thread_counts(), _compared(contenders)):
        try:
            processes, turns = _timed(group, audio, count, rounds, most_s, should_stop)
        except LostProcessError as error:
            log.warning("%s; all of them are timed again", error)
            processes, turns = _timed(group, audio, count, rounds, most_s, should_stop)
        of_each = [*zip(*turns, strict=True)]
        rtfs = [_rtfs(passes, audio_s, processor_time=count == 1) for passes in of_each]
        rows += [
            _row(one, process, passes, count, own, rtfs[0])
            for one, process, passes, own in zip(group, processes, of_each, rtfs, strict=True)
        ]
    return rows


def _compared(contenders: Sequence[Contender]) -> list[list[Contender]]:
    """Those of each runtime and precision."""
    groups: dict[tuple[str, str], list[Contender]] = {}
    for one in contenders:
        groups.setdefault((one.runtime, one.precision), []).append(one)
    return list(groups.values())


def _timed(
    contenders: Sequence[Contender],
    audio: Sequence[Path],
    threads: int,
    rounds: int,
    most_s: float,
    should_stop: ShouldStop,
) -> tuple[list[TimedProcess], list[list[Passes]]]:
    """The processes, which have ended, and the time that each took; see `_take_turns`."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                TimedProcess(
                    one.runtime,
                    one.folder,
                    audio,
                    threads=threads,
                    should_stop=should_stop,
                    int8=one.precision == INT8,
                )
            )
            for one in contenders
        ]
        return processes, _take_turns(processes, rounds, most_s)


def _take_turns(processes: Sequence[TimedProcess], rounds: int, most_s: float) -> list[list[Passes]]:
    """The time that each process took, by batch size, in each round that counts."""

    def turn() -> list[Passes]:
        by_size = {size: [process.run(size) for process in processes] for size in BATCH_SIZES}
        return [dict(zip(by_size, passes, strict=True)) for passes in zip(*by_size.values(), strict=True)]

    return rounds_within(turn, rounds=rounds, most_s=most_s)


def _row(
    contender: Contender, process: TimedProcess, rounds: Sequence[Passes], threads: int, rtfs: Rtfs, first: Rtfs
) -> RuntimeRow:
    """The row of one process; `first` are the real-time factors of the one that it is compared with."""
    (rtf_batch1, batch1_range), (rtf_batch16, batch16_range) = (median_and_range(rtfs[size]) for size in BATCH_SIZES)
    speedup_batch1, speedup_batch16 = (_times_as_fast(first[size], rtfs[size]) for size in BATCH_SIZES)
    return RuntimeRow(
        runtime=contender.runtime,
        model=contender.model,
        precision=contender.precision,
        threads=threads,
        rtf_batch1=rtf_batch1,
        rtf_batch1_range=batch1_range,
        rtf_batch16=rtf_batch16,
        rtf_batch16_range=batch16_range,
        speedup_batch1=speedup_batch1,
        speedup_batch16=speedup_batch16,
        rounds=len(rounds),
        import_s=process.start.import_s,
        load_s=process.start.load_s,
        peak_bytes=max(one.peak_bytes for passes in rounds for one in passes.values()),
        bytes=contender.stored_bytes,
    )


def _rtfs(rounds: Sequence[Passes], audio_s: float, *, processor_time: bool) -> Rtfs:
    clock = attrgetter("processor_s" if processor_time else "seconds")
    return {size: [clock(passes[size]) / audio_s for passes in rounds] for size in BATCH_SIZES}


def _times_as_fast(first: Sequence[float], rtfs: Sequence[float]) -> float:
    return median(before / after for before, after in zip(first, rtfs, strict=True))
