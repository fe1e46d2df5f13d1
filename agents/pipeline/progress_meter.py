"""How far a job is and how long it will still take: stages weighted by the time that they usually need."""

import time
from collections.abc import Callable, Sequence

from shrinkml.events import Progress
from shrinkml.job import JobSpec

BEFORE = ("validate", "prices", "baseline")
ATTEMPT = ("calibrate", "search", "choose", "factorize", "finetune", "evaluate")
AFTER = ("verify", "test", "export", "speed", "report")
STAGES = (*BEFORE, *ATTEMPT, *AFTER)

# Seconds on the reference task and two cores; only their proportions matter.
SECONDS = {
    "validate": 5.0,
    "prices": 30.0,
    "baseline": 10.0,
    "calibrate": 5.0,
    "choose": 15.0,
    "factorize": 10.0,
    "evaluate": 10.0,
    "verify": 10.0,
    "test": 20.0,
    "export": 15.0,
    "speed": 45.0,
    "report": 2.0,
}
SECONDS_PER_EVALUATION = 0.5
SECONDS_PER_EPOCH = 20.0


class ProgressMeter:
    """The progress of one run of a job; its fraction never falls, even when a missed stage adds work."""

    def __init__(self, spec: JobSpec, *, n_searches: int, clock: Callable[[], float] = time.monotonic) -> None:
        """A meter at zero.

        Args:
            spec: the job.
            n_searches: in every stage.
            clock: seconds.
        """
        self._spec = spec
        self._evaluations_per_stage = n_searches * spec.search.evaluations
        self._clock = clock
        self._done = self._spent_s = 0.0  # weight of finished stages; what they took, also before a restart
        self._evaluations = 0  # in finished stages
        self._fraction = 0.0
        self.begin(STAGES[0], ratio=None, ahead=spec.stage_ratios)

    def begin(self, kind: str, *, ratio: float | None, ahead: Sequence[float]) -> None:
        """Notes that a stage starts.

        Args:
            kind: one of STAGES.
            ratio: that it works for; None where it is for the whole job.
            ahead: ratios still to be tried after it.
        """
        later = STAGES[STAGES.index(kind) + 1 :]
        present = [stage for stage in later if ratio is not None or stage not in ATTEMPT]
        self._kind = kind
        self._weight = self._weight_of(kind, ratio)
        self._ahead = sum(self._weight_of(stage, ratio) for stage in present)
        self._ahead += sum(self._weight_of(stage, planned) for planned in ahead for stage in ATTEMPT)
        self._searches_ahead = len(ahead) + (kind == "search" or "search" in present)
        self._began = self._clock()

    def at(self, n_done: int = 0, n_total: int = 1) -> Progress:
        """The progress with `n_done` of `n_total` steps of the present stage done."""
        done = self._done + self._weight * n_done / n_total
        total = self._done + self._weight + self._ahead
        self._fraction = max(self._fraction, done / total)
        spent_s = self._spent_s + self._clock() - self._began
        return Progress(
            fraction=self._fraction,
            evaluations_done=self._evaluations + (n_done if self._kind == "search" else 0),
            evaluations_total=self._evaluations + self._searches_ahead * self._evaluations_per_stage,
            seconds_left=(total - done) * spent_s / done if done else None,
        )

    def finish(self, seconds: float, *, evaluations: int = 0) -> Progress:
        """The progress with the present stage done, which took `seconds` and judged that many plans."""
        self._done += self._weight
        self._spent_s += seconds
        self._evaluations += evaluations
        self._searches_ahead -= self._kind == "search"
        total = self._done + self._ahead
        self._fraction = max(self._fraction, self._done / total)
        return Progress(
            fraction=self._fraction,
            evaluations_done=self._evaluations,
            evaluations_total=self._evaluations + self._searches_ahead * self._evaluations_per_stage,
            seconds_left=self._ahead * self._spent_s / self._done,
        )

    def _weight_of(self, kind: str, ratio: float | None) -> float:
        if kind == "search":
            return SECONDS_PER_EVALUATION * self._evaluations_per_stage / self._spec.workers
        if kind == "finetune" and ratio is not None:
            return SECONDS_PER_EPOCH * self._spec.epochs_at(ratio)
        if kind == "export" and not self._spec.export:
            return 0.0
        if kind == "prices" and self._spec.goal.resource == "parameters":
            return 0.0
        return SECONDS[kind]
