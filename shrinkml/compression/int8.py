"""Products in int8 in torch: weights rounded once, row by row, activations at each call, frame by frame.

What is stored stays as it is; a model is opened so, to run. Torch's own way to this (`torch.ao.quantization`) is about
to be removed, and scales all frames of a call together; that of torchao, uncompiled, is slower on CPUs than float.

References:
    Bie et al. 2019, A Simplified Fully Quantized Transformer for End-to-end Speech Recognition, arXiv:1911.03604: why
        activations, too. Dettmers et al. 2022, LLM.int8(), arXiv:2208.07339, section 2: scales by row and by frame.
"""

import copy
from collections.abc import Collection
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from shrinkml.compression.factors import Factors, Matrix
from shrinkml.compression.fast_paths import leave_fast_paths_
from shrinkml.compression.layers import find_slots
from shrinkml.compression.low_rank import LowRankLinear

LEAST_WEIGHTS, LEAST_SIDE = 2**15, 96  # of a matrix: in smaller ones, rounding the frames takes what int8 saves
LARGEST = 127  # of int8; -128 is not used, so that all is symmetric
SMALLEST_SCALE = 1e-30  # of a row or frame of zeros

M = TypeVar("M", bound=nn.Module)


def in_int8(model: M, kept: Collection[str] = ()) -> M:
    """A copy of `model` whose linear layers, dense and low rank, multiply in int8. It cannot be trained or saved.

    Recurrent layers, convolutions and embeddings stay as they are, and so do small and thin matrices.

    Args:
        model: in float32.
        kept: names of layers that stay as they are.
    """
    memo: dict[int, Any] = {}
    for slot in find_slots(model):
        if isinstance(slot.module, nn.Linear | LowRankLinear) and slot.layer not in kept:
            layer = Int8Linear(slot.matrix, slot.module.bias)
            if layer.quantized:
                memo[id(slot.module)] = layer
    small = copy.deepcopy(model, memo)
    leave_fast_paths_(small, Int8Linear)
    return small


class Int8Linear(nn.Module):
    """A linear layer, dense or low rank, whose large enough matrices are int8."""

    def __init__(self, matrix: Matrix, bias: Tensor | None) -> None:
        super().__init__()
        parts = (matrix.down, matrix.up) if isinstance(matrix, Factors) else (matrix,)
        self.products = nn.ModuleList(_product(part.detach()) for part in parts)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)

    @property
    def quantized(self) -> bool:
        """Whether any of its matrices is int8."""
        return any(isinstance(product, Int8Product) for product in self.products)

    @property
    def weight(self) -> Tensor:
        """The dense weight [out, in] in float, rounded as it is, for code that reads a linear layer's weight."""
        parts = [_dense(product) for product in self.products]
        return parts[0] if len(parts) == 1 else parts[1] @ parts[0]

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        for product in self.products:
            input = product(input)
        return input if self.bias is None else input + self.bias


class Int8Product(nn.Module):
    """x to x W^T, with W [out, in] in int8."""

    scale: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        weight, scale = rounded(matrix)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.register_buffer("scale", scale.T)

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        frames, scale = rounded(input.reshape(-1, input.shape[-1]))
        products = torch._int_mm(frames, self.weight.T).to(scale.dtype).mul_(scale).mul_(self.scale)
        return products.view(*input.shape[:-1], -1)


def rounded(rows: Tensor) -> tuple[Tensor, Tensor]:
    """int8 [n, in] and a scale [n, 1] for each row of `rows` [n, in]: their product is off by half a scale at most."""
    scale = rows.abs().amax(1, keepdim=True).clamp_(min=SMALLEST_SCALE) / LARGEST
    return (rows / scale).round_().to(torch.int8), scale


def _dense(product: nn.Module) -> Tensor:
    """The matrix that `product` multiplies with, in float."""
    weight = product.get_parameter("weight")
    return weight * product.scale.T if isinstance(product, Int8Product) else weight


def _product(matrix: Tensor) -> nn.Module:
    if matrix.numel() >= LEAST_WEIGHTS and min(matrix.shape) >= LEAST_SIDE:
        return Int8Product(matrix)
    product = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
    product.weight = nn.Parameter(matrix.clone(), requires_grad=False)
    return product
