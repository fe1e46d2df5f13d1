"""Any plain form of a matrix, its weights in few bits.

In a module the weights stay in floating point, to be trained, and are rounded wherever they are used; files hold whole
numbers and scales alone. So what is measured, what is trained and what is stored multiply alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import Cost
from shrinkml.plan.layout import ROUNDED_BITS, group_length
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import Form, as_lines
from shrinkml.weights.rounding import (
    best_scales,
    empty_scales,
    from_whole_numbers,
    largest_number,
    nearest_plane,
    packed,
    rounded,
    unpacked,
    whole_numbers,
)
from shrinkml.weights.widened_form import WidenedForm

PACKED = "_packed"  # what the name of a matrix ends in, in files: they hold it in one tensor of bytes


@dataclass(frozen=True, eq=False)
class Quantized(WidenedForm):
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
        n_numbers = [lines.numel() for lines in empty._lines]
        others = {suffix: data.numel() for suffix, data in empty._other_files.items()}
        sizes = [*(scales.numel() for scales in empty.scales), _n_bytes(sum(n_numbers), bits), *others.values()]
        if data.numel() != sum(sizes):
            raise PlanError(f"{data.numel()} bytes hold no matrix {list(shape)} under {choice.to_json()}")
        pieces = iter(torch.split(data, sizes))
        scales = tuple(next(pieces).view(like.shape) for like in empty.scales)
        numbers = torch.split(unpacked(next(pieces), bits, sum(n_numbers)), n_numbers)
        files = dict(zip(others, pieces, strict=True))
        named = zip(cls._rounded_files(), empty._lines, scales, numbers, strict=True)
        for (suffix, along), like, scale, whole in named:
            files[suffix] = as_lines(from_whole_numbers(whole.view(like.shape), scale, bits), along)
        return cls(choice, cls.plain.opened(_plain(choice), shape, files), scales)

    @classmethod
    def compressed(cls, form: Form, choice: Choice, decomposition: Decomposition) -> Self:
        """The matrix in the plain form with the scales that fit it; a copy of `form` where it is under that choice.

        What multiplies inputs is rounded so that its outputs stay close, where the inputs are known.

        Raises:
            RankError: a rank outside the decomposition's range.
        """
        if form.choice == choice:  # to round what was factorized anew would lose once more
            return cls.stored(choice, [part.detach().clone() for part in form.parts])
        scaled = cls._scaled(choice, cls.plain.compressed(form, _plain(choice), decomposition), best_scales)
        return scaled._close_in_outputs(decomposition.root)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """Those of `raw`, and the scales."""
        return *self.raw.parts, *self.scales

    @property
    def files(self) -> dict[str, Tensor]:
        """One tensor of bytes: all scales, all whole numbers, and whatever is not rounded, which is bytes already."""
        bits = _bits(self.choice)
        pairs = zip(self._lines, self.scales, strict=True)
        numbers = torch.cat([whole_numbers(lines, scales, bits).flatten() for lines, scales in pairs])
        scales = (scales.flatten().cpu() for scales in self.scales)
        others = (data.cpu() for data in self._other_files.values())
        return {PACKED: torch.cat([*scales, packed(numbers, bits), *others])}

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.raw.shape

    @cached_property
    def widened(self) -> Form:
        """The matrix in the plain form, rounded; the gradient goes straight through to what is not."""
        bits = _bits(self.choice)
        lines = (rounded(lines, scales, bits) for lines, scales in zip(self._lines, self.scales, strict=True))
        rest = {suffix: part for suffix, part, along in self._raw_parts if along is None}
        return self._with_lines(_plain(self.choice), lines, rest).widened

    def cost(self, calls_per_s: float = 0.0) -> Cost:
        """The cost of the whole numbers, and the bytes of their scales."""
        cost = self.raw.cost(calls_per_s)
        n_numbers = sum(lines.numel() for lines in self._lines)
        n_others = cost.bytes - sum(lines.nbytes for lines in self._lines)
        n_scales = sum(scales.numel() for scales in self.scales)
        return replace(cost, bytes=n_others + n_scales + _n_bytes(n_numbers, _bits(self.choice)))

    @classmethod
    def _scaled(cls, choice: Choice, raw: Form, scales: Callable[[Tensor, int], Tensor]) -> Self:
        """The matrix `raw` with the `scales` of its lines."""
        pairs = zip(raw.parts, cls.plain.along, strict=True)
        lines = [as_lines(part, along) for part, along in pairs if along is not None]
        return cls(choice, raw, tuple(scales(each, _bits(choice)) for each in lines))

    def _close_in_outputs(self, root: Tensor) -> Self:
        """The same, rounded so where rows multiply inputs whose scatter has the Cholesky factor `root`."""
        bits = _bits(self.choice)
        parts = [
            part if scale is None or part.shape[1] != len(root) else nearest_plane(part, scale, bits, root)
            for part, scale in self._rows
        ]
        return replace(self, raw=self.plain.stored(_plain(self.choice), parts))

    @classmethod
    def _rounded_files(cls) -> list[tuple[str, int]]:
        """The suffixes of the parts that are rounded, which are the first in files, and along what their lines lie."""
        pairs = zip(cls.plain.file_suffixes, cls.plain.along, strict=False)
        return [(suffix, along) for suffix, along in pairs if along is not None]

    @property
    def _other_files(self) -> dict[str, Tensor]:
        """The files of the plain form that hold nothing rounded."""
        return dict(list(self.raw.files.items())[len(self._rounded_files()) :])

    @property
    def _raw_parts(self) -> Iterator[tuple[str, Tensor, int | None]]:
        return zip(self.plain.suffixes, self.raw.parts, self.plain.along, strict=True)

    @property
    def _rows(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The parts of `raw`, each with its scales where rows have them."""
        scales = iter(self.scales)
        for _, part, along in self._raw_parts:
            scale = None if along is None else next(scales)
            yield part, scale if along == 1 else None

    @property
    def _lines(self) -> list[Tensor]:
        """[n, length] of each part that is rounded."""
        return [as_lines(part, along) for _, part, along in self._raw_parts if along is not None]

    @classmethod
    def _with_lines(cls, choice: Choice, lines: Iterator[Tensor], rest: Mapping[str, Tensor]) -> Form:
        """The plain form of those `lines`, and of the parts that are not rounded."""
        pairs = zip(cls.plain.suffixes, cls.plain.along, strict=True)
        return cls.plain.stored(choice, [rest[s] if a is None else as_lines(next(lines), a) for s, a in pairs])


@dataclass(frozen=True, slots=True)
class RoundedRows:
    """Rows of a matrix as whole numbers times scales.

    Attributes:
        numbers: uint8 [n, length], as `whole_numbers` counts them.
        scales: uint8 [n, groups], the logarithms of `best_scales`.
        bits: of each weight.
    """

    numbers: Tensor
    scales: Tensor
    bits: int

    @property
    def n(self) -> int:
        """Rows."""
        return self.numbers.shape[0]

    @property
    def length(self) -> int:
        """Weights in a row."""
        return self.numbers.shape[1]

    @property
    def group(self) -> int:
        """Neighbours in a row that share a scale."""
        return group_length(self.length, self.bits)

    @property
    def zero(self) -> int:
        """The whole number of a weight of 0."""
        return largest_number(self.bits)

    def dense(self) -> Tensor:
        """The rows, float32."""
        return from_whole_numbers(self.numbers, self.scales, self.bits)


def rounded_rows(form: Form) -> list[RoundedRows]:
    """The matrices whose rows are whole numbers times scales, of those that `form` multiplies with; often none."""
    if not isinstance(form, Quantized) or form.choice.sparsity:
        return []
    bits = _bits(form.choice)
    return [
        RoundedRows(whole_numbers(part, scale, bits).cpu(), scale.cpu(), bits)
        for part, scale in form._rows
        if scale is not None
    ]


def quantized(plain: type[Form]) -> type[Form]:
    """The form `plain` with weights in few bits."""
    pairs = list(zip(plain.suffixes, plain.along, strict=True))
    names = [suffix if along is None else f"{suffix}_rounded" for suffix, along in pairs]
    scales = [f"{suffix}_scale" for suffix, along in pairs if along is not None]
    facts = {
        "plain": plain,
        "suffixes": (*names, *scales),
        "file_suffixes": (PACKED,),
        "labels": plain.labels,
        "along": (None,) * len((*names, *scales)),
    }
    return type(f"Quantized{plain.__name__}", (Quantized,), facts)


def _plain(choice: Choice) -> Choice:
    return replace(choice, bits=None)


def _bits(choice: Choice) -> int:
    if choice.bits is None:
        raise PlanError(f"{choice} has no bits; allowed: {ROUNDED_BITS[0]} to {ROUNDED_BITS[-1]}")
    return choice.bits


def _n_bytes(n_numbers: int, bits: int) -> int:
    return -(-n_numbers * bits // 8)
