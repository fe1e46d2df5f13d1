"""The common part of forms that are stored in one way and multiply in another, in floating point with every weight."""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from shrinkml.weights.form import Form


class WidenedForm:
    """A form that multiplies as its `widened` does, and is stored as its `plain` is, but smaller; a part of `Form`."""

    remembered: ClassVar[bool] = True
    plain: ClassVar[type[Form]]
    suffixes: ClassVar[tuple[str, ...]]
    file_suffixes: ClassVar[tuple[str, ...]]
    labels: ClassVar[tuple[str, ...]]
    along: ClassVar[tuple[int | None, ...]]

    @property
    @abstractmethod
    def widened(self) -> Form:
        """The matrix with all of its weights in floating point."""

    @property
    def factors(self) -> tuple[Tensor, ...]:
        """Those of the matrix, widened."""
        return self.widened.factors

    def dense(self) -> Tensor:
        """The matrix."""
        return self.widened.dense()

    def multiply(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Returns x W^T + bias: [..., in] to [..., out]."""
        return self.widened.multiply(x, bias)

    def look_up(self, indices: Tensor, padding_idx: int | None = None) -> Tensor:
        """Rows of the matrix: indices [...] to vectors [..., in]."""
        return self.widened.look_up(indices, padding_idx)
