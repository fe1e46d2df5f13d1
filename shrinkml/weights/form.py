"""The form of one weight matrix: how it is stored, what it costs, how it multiplies.

A new form is one file with a class like `Dense` and one row in `FORMS`: layers, kernels, exports and checkpoints ask a
form and know none by its type.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import ClassVar, Protocol, Self

from torch import Tensor, nn
from torch.nn import functional as F

from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import Cost
from shrinkml.weights.decomposition import Decomposition


class Form(Protocol):
    """One matrix W [out, in] in the form in which a module stores it.

    Attributes:
        suffixes: what the names of its stored tensors end in, behind the name of the matrix.
        file_suffixes: the same of the tensors in which files hold it.
        labels: what its factors are called in exported graphs, behind the name of the layer.
        along: of each part, the dimension along which neighbours may share a scale if they are rounded; None where a
            part is not to be rounded.
        remembered: whether it is worth keeping for the next use what it computes of its parts.
    """

    suffixes: ClassVar[tuple[str, ...]]
    file_suffixes: ClassVar[tuple[str, ...]]
    labels: ClassVar[tuple[str, ...]]
    along: ClassVar[tuple[int | None, ...]]
    remembered: ClassVar[bool]

    @classmethod
    def holds(cls, choice: Choice) -> bool:
        """True where a matrix under `choice` takes this form."""
        ...

    @classmethod
    def zeros(cls, choice: Choice, shape: tuple[int, int]) -> Self:
        """Zeros in the place of a matrix [out, in] of that shape, to be filled.

        Raises:
            RankError: a rank outside the matrix's range.
        """
        ...

    @classmethod
    def stored(cls, choice: Choice, parts: Sequence[Tensor]) -> Self:
        """The matrix under `choice` whose stored tensors are `parts`, as `parts` gives them."""
        ...

    @classmethod
    def opened(cls, choice: Choice, shape: tuple[int, int], tensors: Mapping[str, Tensor]) -> Self:
        """The matrix [out, in] of that shape under `choice` whose `files` are `tensors`.

        Raises:
            PlanError: they hold no such matrix.
        """
        ...

    @classmethod
    def compressed(cls, form: "Form", choice: Choice, decomposition: Decomposition) -> Self:
        """The matrix of `form` under `choice`.

        Args:
            form: the matrix as it is.
            choice: one that this form holds.
            decomposition: of the matrix.

        Raises:
            RankError: a rank outside the decomposition's range.
        """
        ...

    @property
    def choice(self) -> Choice:
        """The choice that the matrix is stored under."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the dense matrix."""
        ...

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The stored tensors, one for each of `suffixes`."""
        ...

    @property
    def files(self) -> Mapping[str, Tensor]:
        """The tensors in which files hold it, one for each of `file_suffixes`."""
        ...

    @property
    def widened(self) -> "Form":
        """The same matrix with all of its weights in floating point, for whatever multiplies nothing else."""
        ...

    @property
    def factors(self) -> tuple[Tensor, ...]:
        """The matrices that an input is multiplied with in turn, the first one [k, in], the last one [out, k]."""
        ...

    def cost(self, calls_per_s: float = 0.0) -> Cost:
        """The cost of what files hold, and of `calls_per_s` products with it per second of audio."""
        ...

    def dense(self) -> Tensor:
        """The dense matrix [out, in]."""
        ...

    def multiply(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Returns x W^T + bias: [..., in] to [..., out]."""
        ...

    def look_up(self, indices: Tensor, padding_idx: int | None = None) -> Tensor:
        """Rows of the matrix: indices [...] to vectors [..., in]; the row `padding_idx` gets no gradient."""
        ...


def cost_of(parts: Sequence[Tensor], calls_per_s: float) -> Cost:
    """The cost of a matrix of which every stored number is a weight that multiplies once in a product."""
    n_weights = sum(part.numel() for part in parts)
    return Cost(n_weights, sum(part.nbytes for part in parts), calls_per_s * n_weights)


def as_lines(part: Tensor, along: int | None) -> Tensor:
    """`part` with what lies along that dimension as rows; and back."""
    return part.T if along == 0 else part


def floats_of(form: Form) -> Tensor:
    """The first of its stored tensors that is in floating point: its dtype and trainability are the matrix's."""
    return next(part for part in form.parts if part.is_floating_point())


def before_last(form: Form, x: Tensor) -> tuple[Tensor, Tensor]:
    """The input `x` [..., in] behind all factors but the last, and the last [out, k]: a product of its own."""
    *thin, last = form.factors
    for factor in thin:
        x = F.linear(x, factor)
    return x, last


def up_and_down(form: Form) -> tuple[Tensor, Tensor | None]:
    """The last factor [out, k] and the product of those before it [k, in]; None where there is one factor alone."""
    *thin, up = form.factors
    return up, reduce(lambda inner, outer: outer @ inner, thin) if thin else None


def as_parameters(form: Form, *, like: Form) -> tuple[nn.Parameter, ...]:
    """The stored tensors of `form`, with the dtype, device and trainability of the matrix that it replaces.

    Integers stay integers and are not trained.
    """
    old = floats_of(like)
    return tuple(
        nn.Parameter(part.to(old), requires_grad=old.requires_grad)
        if part.is_floating_point()
        else nn.Parameter(part.to(old.device), requires_grad=False)
        for part in form.parts
    )
