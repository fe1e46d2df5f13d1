"""A step of a job: one compression ratio on the way, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.pipeline.folder.policies import Policies
from agents.pipeline.schedule import FinishedStep
from agents.search.search_result import SearchResult
from envs.problem import CompressionProblem
from shrinkml.measure.evaluation import Evaluation
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.report.search_rows import Finalist


@dataclass(frozen=True, slots=True)
class Step:
    """One ratio on the way.

    Attributes:
        ratio: how many times cheaper than the original the model must become, in what the goal counts.
        number: 1, or more where earlier steps had the same ratio.
        start: checkpoint of the original, or of an earlier step.
        ahead: ratios still to be tried after this one.
        policies: what its searches go on from.
    """

    ratio: float
    number: int
    start: Path
    ahead: tuple[float, ...]
    policies: Policies

    @property
    def label(self) -> str:
        """The ratio as names of stages and checkpoints have it ("2.24x"; "2.24x-2" at the second try)."""
        return f"{self.ratio:g}x" + ("" if self.number == 1 else f"-{self.number}")

    @property
    def checkpoint(self) -> str:
        """The name in checkpoints/ of what comes of it."""
        return f"step-{self.label}"


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """The outcome of a step.

    Attributes:
        step: what decides how the job goes on.
        problem: what was searched.
        results: of all its searches.
        plan: that was taken.
        finalists: the plans that were judged again, the chosen one first.
        before: the factorized model on dev.
        after: the same after fine-tuning.
        kept: which of both it was: "fine-tuned" or "factorized".
        seconds: that its stages took.
    """

    step: FinishedStep
    problem: CompressionProblem
    results: Sequence[SearchResult]
    plan: CompressionPlan
    finalists: Sequence[Finalist]
    before: Evaluation
    after: Evaluation
    kept: str
    seconds: float
