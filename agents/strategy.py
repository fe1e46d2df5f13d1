"""The one signature that agents and baselines share, and what they return."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from envs.problem import PlanEvaluator, RankProblem
from shrinkml.compression.plan import RankPlan
from shrinkml.events import ShouldStop


@dataclass(frozen=True, slots=True)
class Trial:
    """One judged plan.

    Attributes:
        plan: what was judged.
        wer: of the plan on the set that plans are judged on, as a fraction.
        parameters: of the whole model under the plan.
    """

    plan: RankPlan
    wer: float
    parameters: int

    def to_json(self) -> dict[str, Any]:
        """The trial as plain JSON values."""
        return {"plan": self.plan.to_json(), "wer": self.wer, "parameters": self.parameters}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Trial":
        """The trial that `to_json` wrote."""
        return cls(RankPlan.from_json(value["plan"]), float(value["wer"]), int(value["parameters"]))


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        strategy: its name.
        seed: of its randomness.
        best: the trial of lowest WER inside the budget; ties go to the smaller model.
        trials: every distinct plan judged, in order.
    """

    strategy: str
    seed: int
    best: Trial
    trials: tuple[Trial, ...]

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return {
            "strategy": self.strategy,
            "seed": self.seed,
            "best": self.best.to_json(),
            "trials": [trial.to_json() for trial in self.trials],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "SearchResult":
        """The result that `to_json` wrote."""
        trials = tuple(Trial.from_json(trial) for trial in value["trials"])
        return cls(value["strategy"], int(value["seed"]), Trial.from_json(value["best"]), trials)


class OnTrial(Protocol):
    """Hears of every distinct plan as soon as it is judged."""

    def __call__(self, trial: Trial, n_done: int) -> None:
        """`n_done` counts this trial."""
        ...


class Strategy(Protocol):
    """Searches a problem; agents and baselines are interchangeable."""

    def __call__(
        self,
        problem: RankProblem,
        evaluate: PlanEvaluator,
        *,
        reward: str,
        evaluations: int,
        seed: int,
        on_trial: OnTrial,
        should_stop: ShouldStop,
    ) -> SearchResult:
        """The best plan within the problem's budget after judging at most `evaluations` distinct plans.

        The same arguments give the same trials in the same order. A search that is stopped returns the best so far.

        Raises:
            PlanError: no plan of the menus meets the budget.
            StoppedError: stopped before the first plan was judged.
        """
        ...
