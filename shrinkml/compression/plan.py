"""The two records that all layers of ShrinkML share: what a layer looks like, and which rank it gets."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from shrinkml.errors import PlanError, RankError

LayerKind = Literal["linear", "lstm_input", "lstm_recurrent", "embedding"]


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One factorizable matrix W [out_features, in_features] of a model.

    Attributes:
        name: dotted path of the weight in the model's state ("encoder.0.weight_ih_l0").
        kind: where the matrix stands; a GRU's count as an LSTM's, which behave like them.
        out_features: rows.
        in_features: columns.
        calls_per_s: products with this matrix per second of audio; 0 where not measured.
    """

    name: str
    kind: LayerKind
    out_features: int
    in_features: int
    calls_per_s: float = 0.0

    @property
    def parameters(self) -> int:
        """Weights of the dense matrix."""
        return self.out_features * self.in_features

    @property
    def parameters_per_rank(self) -> int:
        """Weights that each unit of rank costs: r(out + in) in all."""
        return self.out_features + self.in_features

    @property
    def max_rank(self) -> int:
        """The rank of the dense matrix, at most."""
        return min(self.out_features, self.in_features)

    @property
    def break_even_rank(self) -> int:
        """The largest rank whose factors hold fewer or as many weights as the dense matrix."""
        return self.parameters // self.parameters_per_rank

    def weights_at(self, rank: int | None) -> int:
        """Weights of this layer at `rank`, or dense where `rank` is None.

        Raises:
            RankError: rank outside [1, max_rank].
        """
        if rank is None:
            return self.parameters
        if not 1 <= rank <= self.max_rank:
            raise RankError(f"rank {rank} for layer {self.name!r}; allowed: 1 to {self.max_rank}")
        return rank * self.parameters_per_rank


@dataclass(frozen=True, slots=True)
class RankPlan:
    """Layer name -> rank; a layer that is not named stays dense."""

    ranks: Mapping[str, int]

    def __post_init__(self) -> None:
        for name, rank in self.ranks.items():
            if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
                raise RankError(f"rank {rank!r} for layer {name!r}; allowed: an integer of 1 or more")
        object.__setattr__(self, "ranks", MappingProxyType(dict(sorted(self.ranks.items()))))

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self.ranks.items())

    def __hash__(self) -> int:
        return hash(tuple(self.ranks.items()))

    def __reduce__(self) -> tuple[type["RankPlan"], tuple[dict[str, int]]]:
        return RankPlan, (dict(self.ranks),)

    def rank(self, name: str) -> int | None:
        """The rank of layer `name`; None means dense."""
        return self.ranks.get(name)

    @property
    def digest(self) -> str:
        """Sixteen hex digits that two plans share exactly when they are equal."""
        text = json.dumps(dict(self.ranks), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, int]:
        """The plan as a JSON object."""
        return dict(self.ranks)

    @classmethod
    def from_json(cls, value: Any) -> "RankPlan":
        """The plan that `to_json` wrote.

        Raises:
            PlanError: `value` is no JSON object.
            RankError: a rank is no positive integer.
        """
        if not isinstance(value, Mapping):
            raise PlanError(f"a rank plan is an object of layer -> rank, not {type(value).__name__}")
        return cls(value)
