"""The next compression ratio of a job: ascending while steps pass the gate, gentler after a miss.

References:
    Mehrotra et al. 2020, Iterative compression of end-to-end ASR model using AutoML, arXiv:2008.02897 (search,
    factorize, fine-tune, and search again from there). Stepping back is ours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

MAX_STEP_BACKS = 2  # misses that are answered with a gentler step; each costs a search and a fine-tuning


@dataclass(frozen=True, slots=True)
class FinishedStep:
    """A finished step.

    Attributes:
        ratio: asked for, of what the goal counts.
        reached: that of its model; in time, as foreseen by the table.
        wer: on dev; fine-tuned where that is no worse.
        passed: True where `wer` is within the goal.
        checkpoint: name of its model.
    """

    ratio: float
    reached: float
    wer: float
    passed: bool
    checkpoint: str


def next_ratio(planned: Sequence[float], steps: Sequence[FinishedStep], *, reached: float = 1.0) -> float | None:
    """The ratio of the next step, or None when there is nothing left to try.

    After a pass comes the next larger ratio of the plan. After a miss comes the geometric mean of the last good ratio
    and the missed one, from which the plan goes on; after MAX_STEP_BACKS such misses the goal itself is tried once, if
    it never was, so that the report can tell what it costs.

    Args:
        planned: ratios of the job, ascending; the last is the goal.
        steps: that are finished, in order.
        reached: before the first step, by fewer tokens: a gentler step than that is none.
    """
    goal = planned[-1]
    good = max((step.ratio for step in steps if step.passed), default=1.0)
    if not steps or steps[-1].passed:
        return min((ratio for ratio in planned if ratio > good), default=None)
    if sum(not step.passed for step in steps) <= MAX_STEP_BACKS:
        missed = steps[-1].ratio
        return round(math.sqrt((max(good, reached) if reached < missed else good) * missed), 2)
    return None if any(step.ratio == goal for step in steps) else goal


def start_of(steps: Sequence[FinishedStep]) -> FinishedStep | None:
    """The step whose model the next step starts from; None means the original."""
    return max((step for step in steps if step.passed), key=lambda step: step.ratio, default=None)


def best_of(steps: Sequence[FinishedStep]) -> FinishedStep:
    """The step to keep: the smallest model that passed; where none did, the one of lowest WER."""
    return start_of(steps) or min(steps, key=lambda step: step.wer)
