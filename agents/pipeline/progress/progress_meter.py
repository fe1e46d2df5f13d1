"""The progress of a job and the time that it will still take, from the work of its stages and the pace so far."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from agents.pipeline.progress.stage_work import Pace, Sizes, Work
from agents.pipeline.stage import Stage
from shrinkml.events import Progress
from shrinkml.job import JobSpec

TELLING = 0.05  # of a stage from which its own speed tells more than what was foreseen


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
        self._pace = Pace()
        self._sizes = Sizes(proxy=spec.data.proxy_utterances)
        self._spent_s = 0.0  # by finished stages, also before a restart
        self._evaluations = 0  # in finished stages
        self._fraction = 0.0
        self.begin(self._stages[0], ratio=None, ahead=spec.step_ratios)

    def know(self, sizes: Sizes) -> None:
        """Note the sizes of the job's speech and model, once they are known."""
        self._sizes = sizes

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
        self._work = self._work_of(stage, ratio)
        self._certain = stage.done is None
        self._to_come = to_come
        self._evaluations_ahead = sum(
            other.evaluations(self._spec) for other in (stage, *(pair[0] for pair in to_come))
        )
        self._began = self._clock()

    def expect(self, work: Work) -> None:
        """Note that the present stage does `work`, whatever was foreseen: its pace tells of later stages now."""
        self._work = work
        self._certain = True

    def at(self, n_done: int = 0, n_total: int = 1) -> Progress:
        """The progress with `n_done` of `n_total` parts of the present stage done."""
        passed_s, share, pace = self._clock() - self._began, n_done / n_total, self._pace
        whole_s = pace.seconds(self._work)
        if share >= TELLING:
            whole_s = passed_s / share
            if self._certain:
                pace = pace.copy()
                pace.learn(self._work, whole_s)
        left_s = max(0.0, (1 - share) * whole_s if share else whole_s - passed_s) + self._ahead_s(pace)
        return self._progress(passed_s, left_s, n_done if self._stage.evaluations(self._spec) else 0)

    def finish(self, seconds: float, record: Any, *, evaluations: int = 0) -> Progress:
        """The progress with the present stage done: it took `seconds`, returned `record` and judged so many plans."""
        self._spent_s += seconds
        done = self._stage.done
        self._pace.learn(self._work if done is None else done(record, self._spec, self._sizes), seconds)
        self._evaluations += evaluations
        self._evaluations_ahead -= self._stage.evaluations(self._spec)
        return self._progress(0.0, self._ahead_s(self._pace), 0)

    def _progress(self, passed_s: float, left_s: float, evaluations: int) -> Progress:
        spent_s = self._spent_s + passed_s
        if spent_s + left_s > 0:
            self._fraction = max(self._fraction, spent_s / (spent_s + left_s))
        return Progress(
            fraction=self._fraction,
            evaluations_done=self._evaluations + evaluations,
            evaluations_total=self._evaluations + self._evaluations_ahead,
            seconds_left=left_s if spent_s else None,
        )

    def _ahead_s(self, pace: Pace) -> float:
        """The time that the stages to come are foreseen to take."""
        return sum(pace.seconds(self._work_of(stage, ratio)) for stage, ratio in self._to_come)

    def _work_of(self, stage: Stage[Any], ratio: float | None) -> Work:
        ratio = self._spec.goal.compression_ratio if ratio is None else ratio
        return stage.work(self._spec, ratio, self._sizes) if stage.present(self._spec, ratio) else Work()
