"""Which compression ratio a job goes for next: ascending while stages pass the gate, gentler after a miss.

References:
    Mehrotra et al. 2020, Iterative compression of end-to-end ASR model using AutoML, arXiv:2008.02897 (search,
    factorize, fine-tune, and search again from there). Stepping back is ours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

MAX_STEP_BACKS = 2  # misses that are answered with a gentler stage; each costs a search and a fine-tuning


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished stage.

    Attributes:
        ratio: asked for, of what the goal counts.
        reached: that of its model; in time, as foreseen by the table.
        wer: on dev; fine-tuned where that is no worse.
        passed: whether `wer` is within the goal.
        checkpoint: name of its model.
    """

    ratio: float
    reached: float
    wer: float
    passed: bool
    checkpoint: str


def next_ratio(planned: Sequence[float], attempts: Sequence[Attempt]) -> float | None:
    """The ratio of the next stage, or None when there is nothing left to try.

    After a pass comes the next larger ratio of the plan. After a miss comes the geometric mean of the last good ratio
    and the missed one, from which the plan goes on; after MAX_STEP_BACKS such misses the goal itself is tried once, if
    it never was, so that the report can tell what it costs.

    Args:
        planned: ratios of the job, ascending; the last is the goal.
        attempts: all finished stages, in order.
    """
    goal = planned[-1]
    good = max((attempt.ratio for attempt in attempts if attempt.passed), default=1.0)
    if not attempts or attempts[-1].passed:
        return min((ratio for ratio in planned if ratio > good), default=None)
    if sum(not attempt.passed for attempt in attempts) <= MAX_STEP_BACKS:
        return round(math.sqrt(good * attempts[-1].ratio), 2)
    return None if any(attempt.ratio == goal for attempt in attempts) else goal


def start_of(attempts: Sequence[Attempt]) -> Attempt | None:
    """The attempt whose model the next stage starts from; None means the original."""
    return max((attempt for attempt in attempts if attempt.passed), key=lambda attempt: attempt.ratio, default=None)


def best_of(attempts: Sequence[Attempt]) -> Attempt:
    """The attempt to keep: the smallest model that passed; where none did, the one of lowest WER."""
    return start_of(attempts) or min(attempts, key=lambda attempt: attempt.wer)
