"""Weights as whole numbers of few bits times scales that groups of neighbours share, and their packing into bytes.

A scale is stored as eight bits of a logarithm. Of those that clip the largest weights of a group more or less, the one
of the least squared error is taken: with 15 values for bell-shaped weights that is worth half a bit.

Where the inputs of a matrix are known, what rounding one weight does to the outputs is made up for, as far as it can
be, by those that are rounded after it.

References:
    Frantar et al. 2022, GPTQ, arXiv:2210.17323: one column rounded after the other.
    Chen et al. 2025, The Geometry of LLM Quantization, arXiv:2507.18553: from the last column to the first, that is
        Babai's nearest plane algorithm on the Cholesky factor, without an inverse.
    Bengio et al. 2013, Estimating or Propagating Gradients Through Stochastic Neurons, arXiv:1308.3432: the
        straight-through gradient.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from shrinkml.plan.layout import WHOLE_LINES, group_length

OCTAVE = 8  # scales to a factor of two: a step of 9 %, so that the best is missed by half of that at most
ONE = 192  # the stored number of scale 1.0: from 2^-24 to 2^7.9, where weights of networks lie
BLOCK = 128  # columns that are rounded before what they owe to all others is added up
CLIPPED = 10  # steps below the scale that clips nothing, that are tried
SMALLEST = 2.0**-24  # of a group's largest weight, for the logarithm


def largest_number(bits: int) -> int:
    """The largest whole number of so many bits, of either sign."""
    return (1 << bits - 1) - 1


def best_scales(lines: Tensor, bits: int) -> Tensor:
    """uint8 [n, groups], the scale of least squared error for each group of `lines` [n, length] in so many bits."""
    groups = _grouped(lines.detach().float(), bits)
    most = groups.abs().amax(-1).clamp_(min=SMALLEST) / largest_number(bits)
    clips_nothing = (most.log2() * OCTAVE).ceil_().add_(ONE)
    best = clips_nothing.clamp(0, 255).to(torch.uint8)
    if bits >= WHOLE_LINES:
        return best
    least = _squared_error(groups, best, bits)
    for step in range(1, CLIPPED + 1):
        scale = (clips_nothing - step).clamp(0, 255).to(torch.uint8)
        error = _squared_error(groups, scale, bits)
        best = torch.where(error < least, scale, best)
        least = torch.minimum(error, least)
    return best


@torch.no_grad()
def nearest_plane(lines: Tensor, scales: Tensor, bits: int, root: Tensor) -> Tensor:
    """The multiples of `scales` for `lines` [n, length] whose products with inputs are close to theirs, [n, length].

    `rounded` leaves them as they are.

    Args:
        lines: rows of a matrix.
        scales: of their groups, as `best_scales` gives them.
        bits: of each weight.
        root: [length, length], lower triangular: an error E of `lines` costs the squared norm of E @ root.
    """
    largest, spread = largest_number(bits), _spread(lines, scales, bits).expand_as(lines).T.contiguous()
    wanted, root = lines.detach().T.contiguous(), root.to(lines)  # columns of the matrix lie together
    found, error = torch.empty_like(wanted), torch.zeros_like(wanted)
    for end in range(len(wanted), 0, -BLOCK):
        start = max(0, end - BLOCK)
        owed = root[end:, start:end].T @ error[end:]  # by the columns behind the block
        for i in range(end - 1, start - 1, -1):
            of_i = root[i, start : i + 1]
            number = ((wanted[i] + owed[i - start] / of_i[-1]) / spread[i]).round_().clamp_(-largest, largest)
            found[i] = number * spread[i]
            error[i] = wanted[i] - found[i]
            owed[: i - start].addr_(of_i[:-1], error[i])
    return found.T.contiguous()


def empty_scales(lines: Tensor, bits: int) -> Tensor:
    """uint8 [n, groups], zeros in the place of the scales of `lines` [n, length]."""
    length = lines.shape[1]
    return torch.zeros(len(lines), -(-length // group_length(length, bits)), dtype=torch.uint8)


def rounded(lines: Tensor, scales: Tensor, bits: int) -> Tensor:
    """`lines` [n, length], each weight at the nearest multiple of its scale that `bits` can hold.

    The gradient goes straight through, but to weights beyond the largest number, which no step could move back.
    """
    result: Tensor = _Rounded.apply(lines, _spread(lines, scales, bits), largest_number(bits))  # type: ignore[no-untyped-call]
    return result


def whole_numbers(lines: Tensor, scales: Tensor, bits: int) -> Tensor:
    """uint8 [n, length], the whole number of each weight, counted from the least that `bits` can hold."""
    largest = largest_number(bits)
    numbers = (lines.detach() / _spread(lines, scales, bits)).round_().clamp_(-largest, largest)
    return numbers.add_(largest).to(torch.uint8)


def from_whole_numbers(numbers: Tensor, scales: Tensor, bits: int) -> Tensor:
    """The weights [n, length] that `whole_numbers` counted, in float32."""
    lines = numbers.float().sub_(largest_number(bits))
    return lines * _spread(lines, scales, bits)


def packed(numbers: Tensor, bits: int) -> Tensor:
    """uint8 [bytes], the `numbers` of so many bits each one after the other, lowest bit first."""
    apart = np.unpackbits(numbers.cpu().numpy().reshape(-1, 1), axis=1, bitorder="little")[:, :bits]
    return torch.from_numpy(np.packbits(apart.ravel(), bitorder="little"))


def unpacked(data: Tensor, bits: int, count: int) -> Tensor:
    """uint8 [count], the numbers that `packed` wrote."""
    apart = np.unpackbits(data.cpu().numpy(), count=count * bits, bitorder="little").reshape(count, bits)
    return torch.from_numpy(np.packbits(apart, axis=1, bitorder="little").ravel())


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, scale: Tensor, largest: int) -> Tensor:
        numbers = weights / scale
        ctx.save_for_backward(numbers.abs() <= largest + 0.5)
        return numbers.round_().clamp_(-largest, largest).mul_(scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (within,) = ctx.saved_tensors
        return gradient * within, None, None


def _grouped(lines: Tensor, bits: int) -> Tensor:
    """[n, groups, length of a group], zeros beyond the end of a line."""
    group = group_length(lines.shape[1], bits)
    return F.pad(lines, (0, -lines.shape[1] % group)).view(len(lines), -1, group)


def _spread(lines: Tensor, scales: Tensor, bits: int) -> Tensor:
    """The scale of each weight of `lines`, of its dtype."""
    group = group_length(lines.shape[1], bits)
    each = torch.exp2((scales.to(lines.dtype) - ONE) / OCTAVE)
    return each if each.shape[1] == 1 else each.repeat_interleave(group, 1)[:, : lines.shape[1]]


def _squared_error(groups: Tensor, scales: Tensor, bits: int) -> Tensor:
    """[n, groups] of the rounded `groups` [n, groups, length]."""
    largest, scale = largest_number(bits), torch.exp2((scales.float() - ONE) / OCTAVE)[..., None]
    return (groups / scale).round_().clamp_(-largest, largest).mul_(scale).sub_(groups).square_().sum(-1)
