"""Losses of plans on a few utterances, each measured once and remembered for the next look at the same model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agents.search.look.forced_scores import ForcedScores
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.wiring import Wiring

TOKENS = "tokens per utterance"  # key beside those of plans


class Memory(Protocol):
    """Numbers by key that outlive a look."""

    def find(self, keys: list[str], /) -> Mapping[str, float]:
        """Key -> number, of those that are known."""
        ...

    def keep(self, values: Mapping[str, float], /) -> None:
        """Remember `values`."""
        ...


class Forgetful:
    """Remembers nothing; implements `Memory`."""

    def find(self, keys: list[str], /) -> Mapping[str, float]:
        """Nothing."""
        return {}

    def keep(self, values: Mapping[str, float], /) -> None:
        """Do nothing."""


@dataclass(slots=True)
class RecalledLosses:
    """Losses of plans of one model on the same utterances; the model is run only for what is not remembered.

    Attributes:
        scores: gives the scores of the model, once they are needed.
        memory: of this model, its factors and these utterances.
        on_measured: called with the number of losses that were told by now.
        wiring: what follows elsewhere from the choices of plans, which need not name it.
    """

    scores: Callable[[], ForcedScores]
    memory: Memory = field(default_factory=Forgetful)
    on_measured: Callable[[int], None] = lambda n: None
    wiring: Wiring = field(default_factory=Wiring)
    _made: ForcedScores | None = None
    _n_told: int = 0

    def tokens_per_utterance(self) -> float | None:
        """Tokens of the mean utterance; None where the model tells no scores."""
        known = self.memory.find([TOKENS])
        if TOKENS in known:
            return known[TOKENS]
        if not self._forced.tells:
            return None
        self.memory.keep({TOKENS: self._forced.tokens_per_utterance})
        return self._forced.tokens_per_utterance

    def loss(self, plan: CompressionPlan) -> float:
        """The divergence of the model from itself under `plan`, nats per token."""
        plan = self.wiring.completed(plan)
        known = self.memory.find([plan.digest])
        loss = known.get(plan.digest)
        if loss is None:
            loss = self._forced.divergence(plan)
            self.memory.keep({plan.digest: loss})
        self._n_told += 1
        self.on_measured(self._n_told)
        return loss

    @property
    def _forced(self) -> ForcedScores:
        if self._made is None:
            self._made = self.scores()
        return self._made
