"""A matrix as a product of two thin ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from shrinkml.errors import RankError
from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import Cost
from shrinkml.plan.layout import narrowed
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import Form, cost_of


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """The matrix `up` [out, rank] @ `down` [rank, in]; implements `Form`.

    Attributes:
        up: [out, rank].
        down: [rank, in].
        inputs: columns that are left where some were cut; None where all are.
    """

    up: Tensor
    down: Tensor
    inputs: int | None = None

    suffixes: ClassVar[tuple[str, ...]] = ("_up", "_down")
    file_suffixes: ClassVar[tuple[str, ...]] = suffixes
    labels: ClassVar[tuple[str, ...]] = (".down", ".up")
    along: ClassVar[tuple[int | None, ...]] = (0, 1)
    remembered: ClassVar[bool] = False

    @classmethod
    def holds(cls, choice: Choice) -> bool:
        """True for a rank, of all columns or of those that are left, and nothing else."""
        return choice.rank is not None and choice == Choice(rank=choice.rank, inputs=choice.inputs)

    @classmethod
    def zeros(cls, choice: Choice, shape: tuple[int, int]) -> Self:
        """Zeros in factors of the rank of `choice`.

        Raises:
            RankError: a rank above that of the dense matrix.
        """
        rank, (n_out, n_in) = _rank(choice), shape
        if rank > min(shape):
            raise RankError(f"rank {rank} of a matrix [{n_out}, {n_in}]; allowed: 1 to {min(shape)}")
        _, n_in = narrowed(choice, *shape)
        return cls(torch.zeros(n_out, rank), torch.zeros(rank, n_in), choice.inputs)

    @classmethod
    def stored(cls, choice: Choice, parts: Sequence[Tensor]) -> Self:
        """The matrix whose factors are `parts`."""
        up, down = parts
        return cls(up, down, choice.inputs)

    @classmethod
    def opened(cls, choice: Choice, shape: tuple[int, int], tensors: Mapping[str, Tensor]) -> Self:
        """The matrix whose parts are `tensors`."""
        return cls.stored(choice, [tensors[suffix] for suffix in cls.suffixes])

    @classmethod
    def compressed(cls, form: Form, choice: Choice, decomposition: Decomposition) -> Self:
        """The best factors of the rank of `choice`.

        Raises:
            RankError: a rank outside the decomposition's range.
        """
        return cls(*decomposition.at_rank(_rank(choice)), choice.inputs)

    @property
    def choice(self) -> Choice:
        """Its rank, and the columns that are left."""
        return Choice(rank=self.down.shape[0], inputs=self.inputs)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the product."""
        return self.up.shape[0], self.down.shape[1]

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """Both factors, as they are stored."""
        return self.up, self.down

    @property
    def files(self) -> dict[str, Tensor]:
        """Its parts."""
        return dict(zip(self.suffixes, self.parts, strict=True))

    @property
    def widened(self) -> Self:
        """Itself."""
        return self

    @property
    def factors(self) -> tuple[Tensor, ...]:
        """Both factors, as they multiply."""
        return self.down, self.up

    def cost(self, calls_per_s: float = 0.0) -> Cost:
        """The cost of the weights of both factors."""
        return cost_of(self.parts, calls_per_s)

    def dense(self) -> Tensor:
        """The product."""
        return self.up @ self.down

    def multiply(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Returns x W^T + bias through both factors: [..., in] to [..., out]."""
        return F.linear(F.linear(x, self.down), self.up, bias)

    def look_up(self, indices: Tensor, padding_idx: int | None = None) -> Tensor:
        """Rows of the product: indices [...] to vectors [..., in]."""
        return F.embedding(indices, self.up, padding_idx) @ self.down


def _rank(choice: Choice) -> int:
    if choice.rank is None:
        raise RankError(f"{choice} has no rank; allowed: an integer of 1 or more")
    return choice.rank
