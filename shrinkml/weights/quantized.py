"""Any plain form of a matrix, its weights in few bits.

In a module the weights stay in floating point, to be trained, and are rounded wherever they are used; files hold whole
numbers and scales alone. So what is measured, what is trained and what is stored multiply alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import torch
from torch import Tensor

from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import Cost
from shrinkml.plan.layout import ROUNDED_BITS
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import Form
from shrinkml.weights.rounding import (
    best_scales,
    empty_scales,
    from_whole_numbers,
    packed,
    rounded,
    unpacked,
    whole_numbers,
)

PACKED = "_packed"  # what the name of all scales and whole numbers of a matrix ends in, in files


@dataclass(frozen=True, eq=False)
class Quantized:
    """A matrix whose weights are whole numbers times scales; implements `Form`. `quantized` makes its subclasses.

    Attributes:
        choice: that it is stored under.
        raw: the matrix in the plain form, before it is rounded.
        scales: of each of its parts that are rounded.
        plain: the form of `raw`.
    """

    choice: Choice
    raw: Form
    scales: tuple[Tensor, ...]

    plain: ClassVar[type[Form]]
    suffixes: ClassVar[tuple[str, ...]]
    file_suffixes: ClassVar[tuple[str, ...]]
    labels: ClassVar[tuple[str, ...]]
    along: ClassVar[tuple[int | None, ...]]
    remembered: ClassVar[bool] = True

    @classmethod
    def holds(cls, choice: Choice) -> bool:
        """True for few bits of what the plain form holds."""
        return choice.bits in ROUNDED_BITS and cls.plain.holds(_plain(choice))

    @classmethod
    def zeros(cls, choice: Choice, shape: tuple[int, int]) -> Self:
        """Zeros in the plain form.

        Raises:
            RankError: a rank outside the matrix's range.
        """
        return cls._scaled(choice, cls.plain.zeros(_plain(choice), shape), empty_scales)

    @classmethod
    def stored(cls, choice: Choice, parts: Sequence[Tensor]) -> Self:
        """The matrix whose parts and their scales are `parts`."""
        n_raw = len(cls.plain.suffixes)
        return cls(choice, cls.plain.stored(_plain(choice), parts[:n_raw]), tuple(parts[n_raw:]))

    @classmethod
    def opened(cls, choice: Choice, shape: tuple[int, int], tensors: Mapping[str, Tensor]) -> Self:
        """The matrix that `files` gave.

        Raises:
            PlanError: so many bytes hold no matrix of that shape under that choice.
        """
        bits, empty, data = _bits(choice), cls.zeros(choice, shape), tensors[PACKED]
        n_scales = [scales.numel() for scales in empty.scales]
        n_numbers = [lines.numel() for lines in empty._lines]
        if data.numel() != sum(n_scales) + _n_bytes(sum(n_numbers), bits):
            raise PlanError(f"{data.numel()} bytes hold no matrix {list(shape)} under {choice.to_json()}")
        scales = torch.split(data[: sum(n_scales)], n_scales)
        numbers = torch.split(unpacked(data[sum(n_scales) :], bits, sum(n_numbers)), n_numbers)
        pairs = zip(empty._lines, empty.scales, scales, numbers, strict=True)
        found = [(whole.view(lines.shape), scale.view(like.shape)) for lines, like, scale, whole in pairs]
        opened = (from_whole_numbers(whole, scale, bits) for whole, scale in found)
        rest = {suffix: tensors[suffix] for suffix in cls.plain.suffixes if suffix in tensors}
        return cls(choice, cls._with_lines(_plain(choice), opened, rest), tuple(scale for _, scale in found))

    @classmethod
    def compressed(cls, form: Form, choice: Choice, decomposition: Decomposition) -> Self:
        """The matrix in the plain form with the scales that fit it; a copy of `form` where it is under that choice.

        Raises:
            RankError: a rank outside the decomposition's range.
        """
        if form.choice == choice:  # to round what was factorized anew would lose once more
            return cls.stored(choice, [part.detach().clone() for part in form.parts])
        return cls._scaled(choice, cls.plain.compressed(form, _plain(choice), decomposition), best_scales)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """Those of `raw`, and the scales."""
        return *self.raw.parts, *self.scales

    @property
    def files(self) -> dict[str, Tensor]:
        """All scales and then all whole numbers in one tensor of bytes, and the parts that are not rounded."""
        bits = _bits(self.choice)
        pairs = zip(self._lines, self.scales, strict=True)
        numbers = torch.cat([whole_numbers(lines, scales, bits).flatten() for lines, scales in pairs])
        data = torch.cat([*(scales.flatten().cpu() for scales in self.scales), packed(numbers, bits)])
        return {PACKED: data, **{suffix: part for suffix, part, along in self._raw_parts if along is None}}

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.raw.shape

    @property
    def factors(self) -> tuple[Tensor, ...]:
        """Those of the plain form, rounded."""
        return self.widened.factors

    @cached_property
    def widened(self) -> Form:
        """The matrix in the plain form, rounded; the gradient goes straight through to what is not."""
        bits = _bits(self.choice)
        lines = (rounded(lines, scales, bits) for lines, scales in zip(self._lines, self.scales, strict=True))
        rest = {suffix: part for suffix, part, along in self._raw_parts if along is None}
        return self._with_lines(_plain(self.choice), lines, rest)

    def cost(self, calls_per_s: float = 0.0) -> Cost:
        """The cost of the whole numbers, and the bytes of their scales."""
        cost = self.raw.cost(calls_per_s)
        n_numbers = sum(lines.numel() for lines in self._lines)
        n_others = sum(part.nbytes for _, part, along in self._raw_parts if along is None)
        n_scales = sum(scales.numel() for scales in self.scales)
        return replace(cost, bytes=n_others + n_scales + _n_bytes(n_numbers, _bits(self.choice)))

    def dense(self) -> Tensor:
        """The matrix, rounded."""
        return self.widened.dense()

    def multiply(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Returns x W^T + bias: [..., in] to [..., out]."""
        return self.widened.multiply(x, bias)

    def look_up(self, indices: Tensor, padding_idx: int | None = None) -> Tensor:
        """Rows of the matrix: indices [...] to vectors [..., in]."""
        return self.widened.look_up(indices, padding_idx)

    @classmethod
    def _scaled(cls, choice: Choice, raw: Form, scales: Callable[[Tensor, int], Tensor]) -> Self:
        """The matrix `raw` with the `scales` of its lines."""
        pairs = zip(raw.parts, cls.plain.along, strict=True)
        lines = [_as_lines(part, along) for part, along in pairs if along is not None]
        return cls(choice, raw, tuple(scales(each, _bits(choice)) for each in lines))

    @property
    def _raw_parts(self) -> Iterator[tuple[str, Tensor, int | None]]:
        return zip(self.plain.suffixes, self.raw.parts, self.plain.along, strict=True)

    @property
    def _lines(self) -> list[Tensor]:
        """[n, length] of each part that is rounded."""
        return [_as_lines(part, along) for _, part, along in self._raw_parts if along is not None]

    @classmethod
    def _with_lines(cls, choice: Choice, lines: Iterator[Tensor], rest: Mapping[str, Tensor]) -> Form:
        """The plain form of those `lines`, and of the parts that are not rounded."""
        pairs = zip(cls.plain.suffixes, cls.plain.along, strict=True)
        return cls.plain.stored(choice, [rest[s] if a is None else _as_lines(next(lines), a) for s, a in pairs])


def quantized(plain: type[Form]) -> type[Form]:
    """The form `plain` with weights in few bits."""
    pairs = list(zip(plain.suffixes, plain.along, strict=True))
    names = [suffix if along is None else f"{suffix}_rounded" for suffix, along in pairs]
    scales = [f"{suffix}_scale" for suffix, along in pairs if along is not None]
    facts = {
        "plain": plain,
        "suffixes": (*names, *scales),
        "file_suffixes": (PACKED, *(suffix for suffix, along in pairs if along is None)),
        "labels": plain.labels,
        "along": (None,) * len((*names, *scales)),
    }
    return type(f"Quantized{plain.__name__}", (Quantized,), facts)


def _as_lines(part: Tensor, along: int) -> Tensor:
    """`part` with its lines as rows; and back."""
    return part if along == 1 else part.T


def _plain(choice: Choice) -> Choice:
    return replace(choice, bits=None)


def _bits(choice: Choice) -> int:
    if choice.bits is None:
        raise PlanError(f"{choice} has no bits; allowed: {ROUNDED_BITS[0]} to {ROUNDED_BITS[-1]}")
    return choice.bits


def _n_bytes(n_numbers: int, bits: int) -> int:
    return -(-n_numbers * bits // 8)
