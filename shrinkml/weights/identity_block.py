"""A matrix of low rank as some of its rows and what makes the others of them: one factor holds an identity block.

Of all ways to write a matrix of rank r as a product of two, that is the one of the fewest weights: r(out + in - r)
instead of r(out + in), and so never more than the dense matrix has. The rows are found by pivoting.

References:
    FlexRank, arXiv:2602.02680: the gauge. Golub and Van Loan 2013, Matrix Computations, section 3.4: partial pivoting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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


@dataclass(frozen=True, eq=False)
class IdentityBlock:
    """The matrix with the rows `down` [rank, in], and between them the rows `rest` @ `down`; implements `Form`.

    Attributes:
        rest: [out - rank, rank].
        down: [rank, in].
        pivots: uint8 [out / 8], a bit for each row, lowest first: 1 where it is one of `down`.
        inputs: columns that are left where some were cut; None where all are.
    """

    rest: Tensor
    down: Tensor
    pivots: Tensor
    inputs: int | None = None

    suffixes: ClassVar[tuple[str, ...]] = ("_rest", "_down", "_pivots")
    file_suffixes: ClassVar[tuple[str, ...]] = suffixes
    labels: ClassVar[tuple[str, ...]] = (".down", ".up")
    along: ClassVar[tuple[int | None, ...]] = (0, 1, None)
    remembered: ClassVar[bool] = True

    @classmethod
    def holds(cls, choice: Choice) -> bool:
        """True for a rank with an identity block, and nothing else."""
        return choice.identity and choice == Choice(rank=choice.rank, identity=True, inputs=choice.inputs)

    @classmethod
    def zeros(cls, choice: Choice, shape: tuple[int, int]) -> Self:
        """Zeros at the rank of `choice`.

        Raises:
            RankError: a rank that leaves no row to the others.
        """
        rank, (n_out, n_in) = choice.rank or 0, shape
        if not 1 <= rank <= min(n_out - 1, n_in):
            most = min(n_out - 1, n_in)
            raise RankError(f"rank {rank} of a matrix [{n_out}, {n_in}] with an identity block; allowed: 1 to {most}")
        _, n_in = narrowed(choice, *shape)
        pivots = _bitmap(torch.arange(n_out) < rank)
        return cls(torch.zeros(n_out - rank, rank), torch.zeros(rank, n_in), pivots, choice.inputs)

    @classmethod
    def stored(cls, choice: Choice, parts: Sequence[Tensor]) -> Self:
        """The matrix with those parts."""
        rest, down, pivots = parts
        return cls(rest, down, pivots, choice.inputs)

    @classmethod
    def opened(cls, choice: Choice, shape: tuple[int, int], tensors: Mapping[str, Tensor]) -> Self:
        """The matrix whose parts are `tensors`."""
        return cls.stored(choice, [tensors[suffix] for suffix in cls.file_suffixes])

    @classmethod
    def compressed(cls, form: Form, choice: Choice, decomposition: Decomposition) -> Self:
        """The best factors of the rank of `choice`, multiplied so that one holds an identity block.

        Raises:
            RankError: a rank outside the decomposition's range, or one that leaves no row to the others.
        """
        n_out, n_in = form.shape
        empty = cls.zeros(choice, (n_out, n_in if choice.inputs is None else max(n_in, choice.rank or 0)))
        up, down = decomposition.at_rank(len(empty.down))
        wide = up.detach().double()
        chosen = torch.zeros(len(up), dtype=torch.bool, device=up.device)
        chosen[_pivots(wide)] = True
        rest = wide[~chosen] @ torch.linalg.pinv(wide[chosen])
        return cls(rest.to(up), (wide[chosen] @ down.double()).to(down), _bitmap(chosen), choice.inputs)

    @property
    def choice(self) -> Choice:
        """Its rank, with an identity block, and the columns that are left."""
        return Choice(rank=self.down.shape[0], identity=True, inputs=self.inputs)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the product."""
        return self.rest.shape[0] + self.down.shape[0], self.down.shape[1]

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """Both factors without the block, and its rows."""
        return self.rest, self.down, self.pivots

    @property
    def files(self) -> dict[str, Tensor]:
        """Its parts."""
        return dict(zip(self.file_suffixes, self.parts, strict=True))

    @property
    def widened(self) -> Self:
        """Itself."""
        return self

    @property
    def factors(self) -> tuple[Tensor, ...]:
        """Both factors, the block written out."""
        block = torch.eye(len(self.down), dtype=self.rest.dtype, device=self.rest.device)
        return self.down, torch.cat((block, self.rest))[self._order]

    def cost(self, calls_per_s: float = 0.0) -> Cost:
        """The cost of the weights of both factors but for the block, and the bytes of its rows."""
        return cost_of((self.rest, self.down), calls_per_s) + Cost(0, self.pivots.nbytes)

    def dense(self) -> Tensor:
        """The product."""
        return torch.cat((self.down, self.rest @ self.down))[self._order]

    def multiply(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Returns x W^T + bias through both factors: [..., in] to [..., out]."""
        if torch.compiler.is_exporting():  # a graph holds what is multiplied: there the block would take room
            inner = F.linear(x, self.down)
            product = torch.cat((inner, F.linear(inner, self.rest)), -1)[..., self._order]
            return product if bias is None else product + bias
        down, up = self.factors  # faster than to bring long outputs into order
        return F.linear(F.linear(x, down), up, bias)

    def look_up(self, indices: Tensor, padding_idx: int | None = None) -> Tensor:
        """Rows of the product: indices [...] to vectors [..., in]."""
        down, up = self.factors
        return F.embedding(indices, up, padding_idx) @ down

    @cached_property
    def _order(self) -> Tensor:
        """int64 [out], the place of each row behind those of `down` and of `rest`, in this order."""
        bits = self.pivots.long()[:, None] // 2 ** torch.arange(8, device=self.pivots.device)  # ONNX shifts nothing
        chosen = (bits % 2).flatten()[: self.shape[0]].bool()
        return torch.where(chosen, chosen.cumsum(0) - 1, len(self.down) - 1 + (~chosen).cumsum(0))


def _pivots(up: Tensor) -> Tensor:
    """int64 [rank], the rows of `up` [out, rank] that Gaussian elimination takes the largest number from in turn."""
    order = list(range(len(up)))
    for step, swapped in enumerate((torch.linalg.lu_factor_ex(up)[1] - 1).tolist()):
        order[step], order[swapped] = order[swapped], order[step]
    return torch.tensor(order[: up.shape[1]], device=up.device)


def _bitmap(chosen: Tensor) -> Tensor:
    """uint8 [n / 8], the bools `chosen` [n], the first in the lowest bit."""
    bits = F.pad(chosen.to(torch.uint8), (0, -len(chosen) % 8)).view(-1, 8)
    return (bits << torch.arange(8, dtype=torch.uint8, device=chosen.device)).sum(1, dtype=torch.uint8)
