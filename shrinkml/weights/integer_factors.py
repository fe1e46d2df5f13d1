"""The factors of a matrix as whole numbers of eight bits with a scale for each row: what integer products multiply.

Where a matrix is stored in 8 bits these are the stored numbers. The last of two factors has scales for its columns;
they go to the rows of the factor before it. All else is rounded to the nearest, row by row.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from shrinkml.plan.layout import WHOLE_LINES
from shrinkml.weights.form import Form
from shrinkml.weights.quantized import Quantized
from shrinkml.weights.rounding import OCTAVE, ONE, largest_number

BITS = 8
SMALLEST = 2.0**-24  # scale, of a row of zeros


@dataclass(frozen=True, slots=True)
class IntegerFactor:
    """A matrix of whole numbers.

    Attributes:
        wide: [out, in] float32, as it multiplies in floating point.
        numbers: int8 [out, in], none below -127.
        scales: float32 [out], of the rows.
    """

    wide: Tensor
    numbers: Tensor
    scales: Tensor


def column_scales(form: Form) -> tuple[Tensor | None, ...]:
    """Of each factor of `form`, [in], the scales that belong to the numbers that it multiplies; None where none do."""
    none = (None,) * len(form.factors)
    if not isinstance(form, Quantized) or form.choice.bits != WHOLE_LINES or form.choice.identity or len(none) != 2:
        return none
    return None, _spread(form.scales[0])


@torch.no_grad()
def integer_factors(form: Form) -> list[IntegerFactor]:
    """The factors of `form`, as they multiply."""
    if not isinstance(form, Quantized) or form.choice.bits != WHOLE_LINES or form.choice.identity:
        return [rounded_by_rows(factor) for factor in form.factors]
    factors = [factor.detach().float() for factor in form.factors]
    if len(factors) == 1:
        return [_exact(factors[0], _spread(form.scales[0]))]
    down, up = factors
    of_columns, of_rows = (_spread(scales) for scales in form.scales)
    first, last = _exact(down, of_rows), _exact(up.T, of_columns)
    ones = torch.ones(len(up), device=up.device)
    return [
        IntegerFactor(down, first.numbers, first.scales * of_columns),
        IntegerFactor(up, last.numbers.T.contiguous(), ones),
    ]


@torch.no_grad()
def rounded_by_rows(factor: Tensor) -> IntegerFactor:
    """The matrix `factor` [out, in], each row at the nearest multiples of a scale that its largest number gives."""
    factor = factor.detach().float()
    scales = factor.abs().amax(1).div(largest_number(BITS)).clamp(min=SMALLEST)
    return IntegerFactor(factor, _numbers(factor, scales), scales)


def _exact(lines: Tensor, scales: Tensor) -> IntegerFactor:
    return IntegerFactor(lines, _numbers(lines, scales), scales)


def _numbers(lines: Tensor, scales: Tensor) -> Tensor:
    largest = largest_number(BITS)
    return (lines / scales[:, None]).round_().clamp_(-largest, largest).to(torch.int8)


def _spread(scales: Tensor) -> Tensor:
    """The scales [lines] that the stored logarithms [lines, 1] stand for."""
    return torch.exp2((scales[:, 0].float() - ONE) / OCTAVE)
