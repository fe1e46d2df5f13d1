"""The trials and the result of a search, whichever strategy it follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shrinkml.plan.compression_plan import CompressionPlan

Policy = dict[str, Any]  # what an agent has learned, as plain JSON values


@dataclass(frozen=True, slots=True)
class Trial:
    """One judged plan.

    Attributes:
        plan: what was judged.
        wer: of the plan on the set that plans are judged on, as a fraction; an estimate where it was stopped.
        parameters: of the whole model under the plan.
        heard: share of the words of that set that it was judged on.
    """

    plan: CompressionPlan
    wer: float
    parameters: int
    heard: float = 1.0

    @property
    def stopped(self) -> bool:
        """True where its judgement ended early, as it could not win."""
        return self.heard < 1.0

    def to_json(self) -> dict[str, Any]:
        """The trial as plain JSON values."""
        return {"plan": self.plan.to_json(), "wer": self.wer, "parameters": self.parameters, "heard": self.heard}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Trial":
        """The trial that `to_json` wrote; those of older searches were all judged whole."""
        heard = float(value.get("heard", 1.0))
        return cls(CompressionPlan.from_json(value["plan"]), float(value["wer"]), int(value["parameters"]), heard)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search.

    Attributes:
        strategy: its name.
        seed: of its randomness.
        best: the trial of lowest WER inside the budget; ties go to the smaller model.
        trials: every distinct plan judged, in order; those that only measured a layer may be over the budget.
        policy: what the strategy learned, if it learns one that other searches can start from.
    """

    strategy: str
    seed: int
    best: Trial
    trials: tuple[Trial, ...]
    policy: Policy | None = None

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return {
            "strategy": self.strategy,
            "seed": self.seed,
            "best": self.best.to_json(),
            "trials": [trial.to_json() for trial in self.trials],
            "policy": self.policy,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "SearchResult":
        """The result that `to_json` wrote."""
        trials = tuple(Trial.from_json(trial) for trial in value["trials"])
        best, policy = Trial.from_json(value["best"]), value.get("policy")
        return cls(value["strategy"], int(value["seed"]), best, trials, policy)


class OnTrial(Protocol):
    """Called with every distinct plan as soon as it is judged."""

    def __call__(self, trial: Trial, n_done: int) -> None:
        """`n_done` counts this trial."""
        ...


def winner(results: Sequence[SearchResult]) -> SearchResult:
    """The search whose best plan has the lowest WER; ties go to the smaller model, then to the earlier search."""
    return min(results, key=lambda result: (result.best.wer, result.best.parameters))
