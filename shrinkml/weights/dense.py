"""A matrix as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.cost import Cost
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import Form, cost_of


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """A dense matrix; implements `Form`.

    The weight of a convolution [out, channels, width] stands for the matrix [out, channels * width] that multiplies its
    window.

    Attributes:
        weight: [out, in].
    """

    weight: Tensor

    suffixes: ClassVar[tuple[str, ...]] = ("",)
    file_suffixes: ClassVar[tuple[str, ...]] = suffixes
    labels: ClassVar[tuple[str, ...]] = ("",)
    along: ClassVar[tuple[int | None, ...]] = (1,)
    remembered: ClassVar[bool] = False

    @classmethod
    def holds(cls, choice: Choice) -> bool:
        """True for the choice to leave a matrix as it is."""
        return choice == DENSE

    @classmethod
    def zeros(cls, choice: Choice, shape: tuple[int, int]) -> Self:
        """Zeros of that shape."""
        return cls(torch.zeros(shape))

    @classmethod
    def stored(cls, choice: Choice, parts: Sequence[Tensor]) -> Self:
        """The matrix in the one tensor of `parts`."""
        (weight,) = parts
        return cls(weight.flatten(1))

    @classmethod
    def opened(cls, choice: Choice, shape: tuple[int, int], tensors: Mapping[str, Tensor]) -> Self:
        """The matrix whose parts are `tensors`."""
        return cls.stored(choice, [tensors[suffix] for suffix in cls.suffixes])

    @classmethod
    def compressed(cls, form: Form, choice: Choice, decomposition: Decomposition) -> Self:
        """The product of the factors of `form`; it shares no memory with them."""
        return cls(form.dense().clone())

    @property
    def choice(self) -> Choice:
        """Dense."""
        return DENSE

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.weight.shape[0], self.weight.shape[1]

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The matrix."""
        return (self.weight,)

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
        """The matrix."""
        return (self.weight,)

    def cost(self, calls_per_s: float = 0.0) -> Cost:
        """The cost of every weight."""
        return cost_of(self.parts, calls_per_s)

    def dense(self) -> Tensor:
        """The matrix."""
        return self.weight

    def multiply(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Returns x W^T + bias: [..., in] to [..., out]."""
        return F.linear(x, self.weight, bias)

    def look_up(self, indices: Tensor, padding_idx: int | None = None) -> Tensor:
        """Rows of the matrix: indices [...] to vectors [..., in]."""
        return F.embedding(indices, self.weight, padding_idx)
