"""The problem that every strategy solves: one option for each decision, under a budget."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from envs.decision import Decision, Option, PerOption
from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.prices import PriceList
from shrinkml.plan.wiring import Fed, Follower, Wiring


class PlanEvaluator(Protocol):
    """Judges plans. The environment never sees a model: a dictionary of plans will do."""

    def __call__(self, plan: CompressionPlan) -> float:
        """The WER (a fraction, may exceed 1) of the model under `plan`."""
        ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of a plan.

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
        """The judgement of `plan`: whole, or as soon as it is surely worse than `rival`: then its WER is above that."""
        ...


@dataclass(frozen=True, slots=True)
class CompressionProblem:
    """One search: the decisions, and what the whole may cost. Picklable; holds no model.

    Attributes:
        decisions: in forward order; one at least.
        other: the cost of everything that no decision changes.
        prices: what a plan costs of what is saved: parameters, MACs or time.
        compression_ratio: every plan must be at least this many times cheaper than `prices.original`.
        baseline_wer: of the model that the search starts from, on the set that plans are judged on.
        tokens_per_utterance: of the set on which losses were measured: what an expected loss per token is multiplied
            with to be one per utterance.
    """

    decisions: tuple[Decision, ...]
    other: Cost
    prices: PriceList
    compression_ratio: float
    baseline_wer: float
    tokens_per_utterance: float = 1.0

    def __post_init__(self) -> None:
        if not self.decisions:
            raise PlanError("the problem has no decision; allowed: one at least")
        _check_parents(self.decisions)
        silent = [d.name for d in self.decisions if any(option.expected_loss is None for option in d.options)]
        if 0 < len(silent) < len(self.decisions):
            raise PlanError(
                f"layers {', '.join(map(repr, silent))} have no expected loss, and others have; give one for each "
                "option of all, or for none"
            )

    @property
    def limit(self) -> int:
        """The most that a plan may cost."""
        return self.prices.limit(self.compression_ratio)

    @property
    def wiring(self) -> Wiring:
        """The ways of units: what follows elsewhere from the choices of decisions."""
        followers, fed = {}, {}
        for it in self.decisions:
            if it.follower is not None:
                followers[it.name] = Follower(it.follower, it.record.gates if it.record else 1)
            if it.record and it.record.fed_by:
                present = it.options[-1].choice
                fed[it.name] = Fed(present.inputs or it.record.in_features, present, it.record.fed_by)
        return Wiring(followers, fed)

    @property
    def tells_losses(self) -> bool:
        """True where the expected loss of every option is known."""
        return self.decisions[0].options[0].expected_loss is not None

    @property
    def retained_energies(self) -> PerOption:
        """The share of its energy that each option keeps."""
        return tuple(tuple(option.retained_energy for option in decision.options) for decision in self.decisions)

    @property
    def expected_losses(self) -> PerOption:
        """The expected loss of each option, in nats per token.

        Raises:
            PlanError: it is not known.
        """
        return tuple(tuple(map(_told_loss, decision.options)) for decision in self.decisions)

    @property
    def losses_or_lost_energies(self) -> PerOption:
        """The expected loss of each option; where none is known, the share of its energy that it loses.

        Lost energies are no measure between decisions. A module that is dropped loses that of all that lies in it.
        """
        if self.tells_losses:
            return self.expected_losses
        inside = Counter(decision.parent for decision in self.decisions)
        return tuple(
            tuple(1.0 - it.retained_energy + it.choice.dropped * inside[decision.name] for it in decision.options)
            for decision in self.decisions
        )

    def cost(self, plan: CompressionPlan) -> Cost:
        """The cost of the whole model under `plan`.

        Raises:
            PlanError: a choice that is no option.
        """
        there = (decision for decision in self.decisions if not self._is_gone(decision, plan))
        return sum((decision.cost(plan.choice(decision.name)) for decision in there), self.other)

    def expected_loss(self, plan: CompressionPlan) -> float:
        """The expected losses of the choices of `plan` added up, in nats per token; 0 where none is known.

        Options that were left out count too; a choice that is no option, as much as the worst of its decision.
        """
        there = (decision for decision in self.decisions if not self._is_gone(decision, plan))
        return sum(_expected_loss(it.whole, it.own(plan.choice(it.name))) for it in there)

    @staticmethod
    def _is_gone(decision: Decision, plan: CompressionPlan) -> bool:
        """True where `plan` drops the module that the decision's place lies in."""
        return decision.parent is not None and plan.choice(decision.parent).dropped

    def per_utterance(self, expected_loss: float) -> float:
        """A loss in nats per token as one in nats per utterance, the magnitude that thresholds were tuned for."""
        return expected_loss * self.tokens_per_utterance

    def admits(self, plan: CompressionPlan) -> bool:
        """True where `plan` is within the budget."""
        return self.prices.price(plan) <= self.limit


def _check_parents(decisions: Sequence[Decision]) -> None:
    """Refuse decisions whose parents do not just drop or keep a module."""
    modules = {it.name for it in decisions if it.parent is None and _drops_or_keeps(it)}
    for decision in decisions:
        if decision.parent is not None and decision.parent not in modules:
            raise PlanError(
                f"layer {decision.name!r} lies in {decision.parent!r}; allowed: a decision that drops a module or "
                "keeps it, and lies in no other"
            )


def _drops_or_keeps(decision: Decision) -> bool:
    return [choice.dropped for choice in decision.choices] in ([True, False], [False])


def _told_loss(option: Option) -> float:
    if option.expected_loss is None:
        raise PlanError("the expected losses of the options are not known; measure what the layers lose first")
    return option.expected_loss


def _expected_loss(decision: Decision, choice: Choice) -> float:
    losses = {option.choice: option.expected_loss or 0.0 for option in decision.options}
    return losses.get(choice, max(losses.values()))
