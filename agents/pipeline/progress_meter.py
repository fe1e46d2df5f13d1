"""The progress of a job and the time that it will still take: stages weighted by the time that they usually need."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from agents.pipeline.stage import Stage
from shrinkml.events import Progress
from shrinkml.job import JobSpec


class ProgressMeter:
    """The progress of one run of a job; its fraction never falls, even when a missed step adds work."""

    def __init__(
        self, spec: JobSpec, stages: Sequence[Stage[Any]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """A meter at zero.

        Args:
            spec: the job.
            stages: of its pipeline, in order.
            clock: seconds.
        """
        self._spec = spec
        self._stages = tuple(stages)
        self._clock = clock
        self._done = self._spent_s = 0.0  # weight of finished stages; what they took, also before a restart
        self._evaluations = 0  # in finished stages
        self._fraction = 0.0
        self.begin(self._stages[0], ratio=None, ahead=spec.step_ratios)

    def begin(self, stage: Stage[Any], *, ratio: float | None, ahead: Sequence[float]) -> None:
        """Note that a stage starts.

        Args:
            stage: one of the pipeline's.
            ratio: of its step; None where it is of the whole job.
            ahead: ratios still to be tried after it.
        """
        later = self._stages[self._stages.index(stage) + 1 :]
        to_come = [(other, ratio) for other in later if ratio is not None or not other.per_step]
        to_come += [(other, planned) for planned in ahead for other in self._stages if other.per_step]
        self._stage = stage
        self._weight = self._weight_of(stage, ratio)
        self._ahead = sum(self._weight_of(*pair) for pair in to_come)
        self._evaluations_ahead = sum(
            other.evaluations(self._spec) for other in (stage, *(pair[0] for pair in to_come))
        )
        self._began = self._clock()

    def at(self, n_done: int = 0, n_total: int = 1) -> Progress:
        """The progress with `n_done` of `n_total` parts of the present stage done."""
        done = self._done + self._weight * n_done / n_total
        total = self._done + self._weight + self._ahead
        self._fraction = max(self._fraction, done / total)
        spent_s = self._spent_s + self._clock() - self._began
        return Progress(
            fraction=self._fraction,
            evaluations_done=self._evaluations + (n_done if self._stage.evaluations(self._spec) else 0),
            evaluations_total=self._evaluations + self._evaluations_ahead,
            seconds_left=(total - done) * spent_s / done if done else None,
        )

    def finish(self, seconds: float, *, evaluations: int = 0) -> Progress:
        """The progress with the present stage done, which took `seconds` and judged that many plans."""
        self._done += self._weight
        self._spent_s += seconds
        self._evaluations += evaluations
        self._evaluations_ahead -= self._stage.evaluations(self._spec)
        total = self._done + self._ahead
        self._fraction = max(self._fraction, self._done / total)
        return Progress(
            fraction=self._fraction,
            evaluations_done=self._evaluations,
            evaluations_total=self._evaluations + self._evaluations_ahead,
            seconds_left=self._ahead * self._spent_s / self._done,
        )

    def _weight_of(self, stage: Stage[Any], ratio: float | None) -> float:
        ratio = self._spec.goal.compression_ratio if ratio is None else ratio
        return stage.seconds(self._spec, ratio) if stage.present(self._spec, ratio) else 0.0
