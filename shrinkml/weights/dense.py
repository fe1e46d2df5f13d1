"""A matrix as it is, or the part of it that is left where units are cut."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.cost import Cost
from shrinkml.plan.layout import narrowed
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import Form, cost_of


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """A dense matrix, perhaps narrower than it was; implements `Form`.

    The weight of a convolution [out, channels, width] stands for the matrix [out, channels * width] that multiplies its
    window.

    Attributes:
        weight: [out, in].
        choice: the units that are left.
    """

    weight: Tensor
    choice: Choice = DENSE

    suffixes: ClassVar[tuple[str, ...]] = ("",)
    file_suffixes: ClassVar[tuple[str, ...]] = suffixes
    labels: ClassVar[tuple[str, ...]] = ("",)
    along: ClassVar[tuple[int | None, ...]] = (1,)
    remembered: ClassVar[bool] = False

    @classmethod
    def holds(cls, choice: Choice) -> bool:
        """True for units that are cut, or nothing."""
        return choice == Choice(outputs=choice.outputs, inputs=choice.inputs)

    @classmethod
    def zeros(cls, choice: Choice, shape: tuple[int, int]) -> Self:
        """Zeros in the units that are left of a matrix of that shape.

        Raises:
            PlanError: more are left than there are.
        """
        return cls(torch.zeros(narrowed(choice, *shape)), choice)

    @classmethod
    def stored(cls, choice: Choice, parts: Sequence[Tensor]) -> Self:
        """The matrix in the one tensor of `parts`."""
        (weight,) = parts
        return cls(weight.flatten(1), choice)

    @classmethod
    def opened(cls, choice: Choice, shape: tuple[int, int], tensors: Mapping[str, Tensor]) -> Self:
        """The matrix whose parts are `tensors`."""
        return cls.stored(choice, [tensors[suffix] for suffix in cls.suffixes])

    @classmethod
    def compressed(cls, form: Form, choice: Choice, decomposition: Decomposition) -> Self:
        """The units of `form` that its decomposition keeps longest; it shares no memory with it.

        Raises:
            RankError: more units than it has.
        """
        matrix = form.dense()
        if choice.inputs not in (None, form.shape[1]):
            kept = decomposition.inputs_of(choice.inputs)
            up, down = decomposition.at_rank(choice.inputs)
            return cls((up @ down)[:, kept].to(matrix), choice)
        if choice.outputs not in (None, form.shape[0]):
            return cls(matrix[decomposition.rows_of(choice.outputs).to(matrix.device)], choice)
        return cls(matrix.clone(), choice)

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
