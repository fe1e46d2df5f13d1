"""Whole numbers that stand for activations: how a range of these is divided, and rounding to it.

Q(x) = round((clamp(x; min, max) - min) / s) with s = (max - min) / (2^b - 1), where min and max take in 0 and min is
moved to the nearest multiple of s, so that 0 is a number of its own: padding and masked steps stay what they are. The
gradient goes straight through, and is zero where x is clamped.

References:
    Prato et al. 2020, Fully Quantized Transformer for Machine Translation, arXiv:1910.10485 (the rule).
    Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference,
        arXiv:1712.05877, section 2.1 (a whole number that stands for 0; scales as a multiplier and a shift).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from shrinkml.activations.activation_spec import ActivationSpec

SMALLEST = 2.0**-24  # scale, of a range of nothing but 0
MULTIPLIER_BITS = 8


@dataclass(frozen=True, slots=True)
class Grid:
    """The multiples of a scale that whole numbers from 0 to `largest` stand for.

    Attributes:
        scale: float32 scalar, between neighbours; or [rows], one for each row of what is rounded.
        zero: int32 of the same shape, the whole number that stands for 0.
        bits: of the whole numbers.
    """

    scale: Tensor
    zero: Tensor
    bits: int

    @property
    def largest(self) -> int:
        """The largest whole number."""
        return (1 << self.bits) - 1

    def rounded(self, x: Tensor) -> Tensor:
        """The nearest multiples to `x` [...] or [rows, ...] that whole numbers stand for."""
        if self.scale.dim():
            return torch.fake_quantize_per_channel_affine(x.float(), self.scale, self.zero, 0, 0, self.largest)
        return torch.fake_quantize_per_tensor_affine(x.float(), self.scale, self.zero, 0, self.largest)


def grid_between(low: Tensor, high: Tensor, spec: ActivationSpec) -> Grid:
    """The grid over the numbers from `low` to `high`, scalars or [rows], and 0."""
    low, high, largest = low.double().clamp(max=0.0), high.double().clamp(min=0.0), (1 << spec.bits) - 1
    scale = SCALINGS[spec.scales](((high - low) / largest).clamp(min=SMALLEST)).float()
    zero = (-low / scale).round().clamp(0, largest).to(torch.int32)
    return Grid(scale, zero, spec.bits)


def _as_it_is(scale: Tensor) -> Tensor:
    return scale


def _power_of_two(scale: Tensor) -> Tensor:
    """The next power of two that is no smaller, so that the range fits."""
    return torch.exp2(scale.log2().ceil())


def _multiplier(scale: Tensor) -> Tensor:
    """The next product of a whole number of MULTIPLIER_BITS and a power of two that is no smaller."""
    shift = torch.exp2(scale.log2().floor() - (MULTIPLIER_BITS - 1))
    return (scale / shift).ceil() * shift


SCALINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "float": _as_it_is,
    "power_of_two": _power_of_two,
    "multiplier": _multiplier,
}
