"""One matrix of a model that can be compressed: its name, kind and shape. Loads no torch."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from shrinkml.errors import RankError
from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import NOTHING, Cost
from shrinkml.plan.layout import index_bytes, lines_of, n_scales, stored_lines

LayerKind = Literal["linear", "lstm_input", "lstm_recurrent", "embedding"]


class Feed(NamedTuple):
    """Columns of a matrix that the units of a recurrent layer feed.

    Attributes:
        layer: whose choice cuts these units.
        first: column that the first unit feeds; the others follow in their order.
        units: that there are now.
        gates: rows of that layer for each unit.
    """

    layer: str
    first: int
    units: int
    gates: int

    def n_cut(self, choice: Choice) -> int:
        """The units that `choice` at the layer cuts."""
        return 0 if choice.outputs is None else self.units - choice.outputs // self.gates


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One factorizable matrix W [out_features, in_features] of a model.

    Attributes:
        name: dotted path of the weight in the model's state ("encoder.0.weight_ih_l0").
        kind: where the matrix stands; a GRU's count as an LSTM's, which behave like them.
        out_features: rows.
        in_features: columns.
        calls_per_s: products with this matrix per second of audio; 0 where not measured.
        bits: of each weight in the model's own checkpoint.
        biases: numbers of its own that it adds to its products, as many as rows; 0 where it adds none. They count with
            all else of a model, and are fewer where its units are cut.
        follower: the matrix that multiplies the units which this one computes, where they may be cut.
        gates: rows for each unit that it computes.
        fed_by: the units of other layers that may be cut, and that are columns of this one.
    """

    name: str
    kind: LayerKind
    out_features: int
    in_features: int
    calls_per_s: float = 0.0
    bits: int = 32
    biases: int = 0
    follower: str | None = None
    gates: int = 1
    fed_by: tuple[Feed, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "fed_by", tuple(Feed(*feed) for feed in self.fed_by))  # JSON knows lists alone

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

    def cost_at(self, choice: Choice) -> Cost:
        """The cost of this layer under `choice`, with the bytes of scales and of what tells where weights belong.

        Zeros are multiplied all the same. Of cut units the biases are taken off.

        Raises:
            RankError: a rank outside [1, max_rank].
            PlanError: more units than there are.
        """
        self.weights_at(choice.rank)  # refuses ranks
        shape, bits = (self.out_features, self.in_features), choice.bits or self.bits
        lines = stored_lines(choice, *shape)
        weights = sum(part.n * part.length for part in lines)
        multiplied = sum(part.n * part.length for part in lines_of(choice, *shape))
        beside = sum(n_scales(part, bits) for part in lines) + index_bytes(choice, *shape)
        cost = Cost(weights, beside + -(-weights * bits // 8), self.calls_per_s * multiplied)
        return cost - self.cut_biases(choice)

    @property
    def own_biases(self) -> Cost:
        """The cost of the biases of a recurrent layer, which its price counts: most of its weights may be cut."""
        return NOTHING if self.gates == 1 else Cost(self.biases, self.biases * self.bits // 8)

    def cut_biases(self, choice: Choice) -> Cost:
        """The cost of the biases of the units that `choice` cuts."""
        n_cut = 0 if choice.outputs is None or not self.biases else self.biases - choice.outputs
        return Cost(n_cut, n_cut * self.bits // 8)
