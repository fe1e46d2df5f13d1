"""The decision problem that every strategy solves: which rank for which layer, under a budget."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import PriceList


class PlanEvaluator(Protocol):
    """Judges plans. The environment never sees a model: a dictionary of plans will do."""

    def __call__(self, plan: CompressionPlan) -> float:
        """The WER (a fraction, may exceed 1) of the model under `plan`."""
        ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a plan.

    Attributes:
        wer: of the model under the plan, as a fraction; an estimate where not all was heard.
        heard: share of the words that it was judged on; below 1 where it was stopped early.
    """

    wer: float
    heard: float = 1.0


@runtime_checkable
class RacingEvaluator(PlanEvaluator, Protocol):
    """Judges plans, and stops early where a plan can't win."""

    def race(self, plan: CompressionPlan, rival: CompressionPlan) -> Judgement:
        """What is known of `plan` once it is judged whole, or surely worse than `rival`: then its WER is above that."""
        ...


@dataclass(frozen=True, slots=True)
class RankProblem:
    """One search: the layers, what each may become, and what the whole may cost. Picklable; holds no model.

    Attributes:
        cost: the layers in forward order, and the size of a plan.
        menus: layer name -> the ranks that it may get, ascending; None (dense) last where the layer may stay dense.
        prices: what a plan costs of what is saved: parameters, MACs or time.
        compression_ratio: every plan must be at least this many times cheaper than `prices.original`.
        spectra: layer name -> singular values, descending.
        baseline_wer: of the model that the search starts from, on the set that plans are judged on.
        divergences: layer name -> by how many nats per utterance the scores move if the layer alone is cut to rank 0,
            1, ... of its menu's highest; empty for a model that does not tell its scores.
        cut: layer name -> the ranks that left its menu because of those, ascending.
    """

    cost: ModelCost
    menus: Mapping[str, tuple[int | None, ...]]
    prices: PriceList
    compression_ratio: float
    spectra: Mapping[str, tuple[float, ...]]
    baseline_wer: float
    divergences: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    cut: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)

    @property
    def limit(self) -> int:
        """The most that a plan may cost."""
        return self.prices.limit(self.compression_ratio)

    def admits(self, plan: CompressionPlan) -> bool:
        """Whether `plan` is within the budget."""
        return self.prices.price(plan) <= self.limit
