"""Any plain form of a matrix of which many weights are zero: these are not stored, and stay zero in training.

Of each line of weights as many are kept as of any other, those that do most to the product: the largest by |weight|
times the spread of the input that it multiplies. So what is kept is a smaller matrix of lines of its own, that can be
rounded like any. Where they belong is a mask, one bit for each place in files.

References:
    Sun et al. 2023, A Simple and Effective Pruning Approach for Large Language Models (Wanda), arXiv:2306.11695,
        equation 1: the score, and the lines in which it is compared. There an input counts by its norm; here what its
        mean gives goes to the bias, and it counts by how far it is from that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import Cost
from shrinkml.plan.layout import n_kept
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import Form, as_lines
from shrinkml.weights.rounding import packed, unpacked
from shrinkml.weights.widened_form import WidenedForm

MASK = "_mask"  # what the names of masks end in, and in files of all that a matrix has


@dataclass(frozen=True, eq=False)
class Sparse(WidenedForm):
    """A matrix that is zero wherever its masks are; implements `Form`. `sparse` makes its subclasses.

    Attributes:
        choice: that it is stored under.
        values: of each part of the plain form the weights that are kept, [lines, kept].
        masks: of the same the places of these weights, bool [lines, length].
        plain: the form without zeros left out.
    """

    choice: Choice
    values: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]

    @classmethod
    def holds(cls, choice: Choice) -> bool:
        """True for zeros in what the plain form holds."""
        return choice.sparsity > 0 and cls.plain.holds(_plain(choice))

    @classmethod
    def zeros(cls, choice: Choice, shape: tuple[int, int]) -> Self:
        """Zeros, in the first places of each line.

        Raises:
            RankError: a rank outside the matrix's range.
        """
        lines = cls._lines(cls.plain.zeros(_plain(choice), shape))
        kept = [n_kept(part.shape[1], choice.sparsity) for part in lines]
        masks = ((torch.arange(part.shape[1]) < n).repeat(len(part), 1) for part, n in zip(lines, kept, strict=True))
        return cls(choice, tuple(part[:, :n] for part, n in zip(lines, kept, strict=True)), tuple(masks))

    @classmethod
    def stored(cls, choice: Choice, parts: Sequence[Tensor]) -> Self:
        """The matrix whose weights and masks are `parts`."""
        n = len(cls.plain.suffixes)
        return cls(choice, tuple(parts[:n]), tuple(parts[n:]))

    @classmethod
    def opened(cls, choice: Choice, shape: tuple[int, int], tensors: Mapping[str, Tensor]) -> Self:
        """The matrix that `files` gave.

        Raises:
            PlanError: the bits of a mask are of no matrix of that shape under that choice.
        """
        empty, bits = cls.zeros(choice, shape), tensors[MASK]
        sizes = [_n_bytes(mask) for mask in empty.masks]
        if bits.numel() != sum(sizes):
            raise PlanError(f"{bits.numel()} bytes hold no masks of {list(shape)} under {choice.to_json()}")
        pairs = zip(torch.split(bits, sizes), empty.masks, strict=True)
        values = tuple(tensors[suffix] for suffix in cls.suffixes[: len(sizes)])
        return cls(choice, values, tuple(_opened(data, like) for data, like in pairs))

    @classmethod
    def compressed(cls, form: Form, choice: Choice, decomposition: Decomposition) -> Self:
        """The matrix in the plain form, without the weights of each line that do least.

        What is in the plain form already is pruned as it is, so that zeros stay where they are.

        Raises:
            RankError: a rank outside the decomposition's range.
        """
        plain, present = _plain(choice), replace(_plain(form.choice), bits=None)
        whole = form.widened if present == plain else cls.plain.compressed(form, plain, decomposition)
        values, masks = [], []
        for lines, along in zip(cls._lines(whole), cls.plain.along, strict=True):
            of_inputs = along == 1  # the others multiply what the lines before them made
            score = lines.abs() * (decomposition.spread.to(lines) if of_inputs else 1.0)
            kept = n_kept(lines.shape[1], choice.sparsity)
            mask = torch.zeros_like(lines, dtype=torch.bool).scatter_(1, score.topk(kept).indices, value=True)
            values.append(lines[mask].view(-1, kept))
            masks.append(mask)
        return cls(choice, tuple(values), tuple(masks))

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The weights of all parts, and then the masks."""
        return *self.values, *self.masks

    @property
    def files(self) -> dict[str, Tensor]:
        """The weights, and all masks in one tensor, a bit for each place."""
        bits = torch.cat([packed(mask.byte().flatten(), 1) for mask in self.masks])
        return dict(zip(self.file_suffixes, (*self.values, bits), strict=True))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._with_lines(iter(self.masks)).shape

    @cached_property
    def widened(self) -> Form:
        """The matrix in the plain form, with its zeros."""
        pairs = zip(self.values, self.masks, strict=True)
        return self._with_lines(values.new_zeros(mask.shape).masked_scatter(mask, values) for values, mask in pairs)

    def cost(self, calls_per_s: float = 0.0) -> Cost:
        """The cost of the weights that are kept, and the bytes of the masks; zeros are multiplied all the same."""
        n_bytes = sum(part.nbytes for part in self.values) + sum(map(_n_bytes, self.masks))
        n_multiplied = sum(mask.numel() for mask in self.masks)
        return Cost(sum(part.numel() for part in self.values), n_bytes, calls_per_s * n_multiplied)

    @classmethod
    def _lines(cls, plain: Form) -> list[Tensor]:
        return [as_lines(part.detach(), along) for part, along in zip(plain.parts, cls.plain.along, strict=True)]

    def _with_lines(self, lines: Iterator[Tensor]) -> Form:
        """The plain form of those `lines`."""
        parts = [as_lines(part, along) for part, along in zip(lines, self.plain.along, strict=True)]
        return self.plain.stored(_plain(self.choice), parts)


def sparse(plain: type[Form]) -> type[Form]:
    """The form `plain`, all parts of which are lines of weights, without its zeros."""
    n = len(plain.suffixes)
    values, masks = (tuple(f"{suffix}{end}" for suffix in plain.suffixes) for end in ("_values", MASK))
    facts = {
        "plain": plain,
        "suffixes": (*values, *masks),
        "file_suffixes": (*values, MASK),
        "labels": plain.labels,
        "along": (1,) * n + (None,) * n,
    }
    return type(f"Sparse{plain.__name__}", (Sparse,), facts)


def _plain(choice: Choice) -> Choice:
    return replace(choice, sparsity=0.0)


def _n_bytes(mask: Tensor) -> int:
    return -(-mask.numel() // 8)


def _opened(bits: Tensor, like: Tensor) -> Tensor:
    """The mask of the shape of `like` whose places are `bits`; it keeps as many of each line."""
    mask = unpacked(bits, 1, like.numel()).view(like.shape).bool()
    if not torch.equal(mask.sum(1), like.sum(1)):
        raise PlanError(f"a mask {list(like.shape)} keeps other than {int(like[0].sum())} weights of a line")
    return mask
