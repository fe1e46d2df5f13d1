"""Products in int8 in torch: weights rounded once, row by row, activations at each call, frame by frame.

What is stored stays as it is; a model is opened so, to run. Torch's own way to this (`torch.ao.quantization`) is about
to be removed, and scales all frames of a call together; that of torchao, uncompiled, is slower on CPUs than float.

References:
    Bie et al. 2019, A Simplified Fully Quantized Transformer for End-to-end Speech Recognition, arXiv:1911.03604: why
        activations, too. Dettmers et al. 2022, LLM.int8(), arXiv:2208.07339, section 2: scales by row and by frame.
"""

import copy
from collections.abc import Collection
from functools import cached_property
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from shrinkml.compression.large_tensors import large_tensors_apart
from shrinkml.compression.sites import Slot, find_slots
from shrinkml.errors import PlanError, PrecisionError
from shrinkml.layers.fast_paths import leave_fast_paths_
from shrinkml.layers.linear import LowRankLinear
from shrinkml.weights.forms import Factors, Matrix, shape_of

LEAST_WEIGHTS, LEAST_SIDE = 2**15, 96  # of a matrix: in smaller ones, rounding the frames takes what int8 saves
LARGEST = 127  # of a frame's int8; -128 is not used, so that all is symmetric
LARGEST_WEIGHT = 63  # processors without VNNI add two products in 16 bits, which more would overflow
BLOCK = 512  # frames rounded at a time, so that they stay in the processor's cache
SMALLEST_SCALE = 1e-30  # of a row or frame of zeros

M = TypeVar("M", bound=nn.Module)


def in_int8(model: M, kept: Collection[str] = ()) -> M:
    """A copy of `model` whose linear layers, dense and low rank, multiply in int8. It can only run.

    Recurrent layers, convolutions and embeddings stay as they are, and so do small and thin matrices.

    Args:
        model: any module.
        kept: names of layers that stay as they are.

    Raises:
        PlanError: `kept` names a layer that the model lacks.
        PrecisionError: no layer would multiply in int8.
    """
    slots = find_slots(model)
    unknown = {*kept} - {slot.layer for slot in slots}
    if unknown:
        raise PlanError(f"no layer {', '.join(sorted(unknown))} in the model, to be kept; see `list_parameters`")
    gaining = {slot.module: slot for slot in slots if slot.layer not in kept and _gains(slot)}
    if not gaining:
        raise PrecisionError(
            f"nothing in the model would gain by int8 in torch: that takes linear layers of {LEAST_WEIGHTS} weights "
            f"and {LEAST_SIDE} rows and columns or more; run it in float"
        )
    with large_tensors_apart():
        memo: dict[int, Any] = {
            id(module): Int8Linear(slot.matrix, cast(nn.Linear, module).bias) for module, slot in gaining.items()
        }
    small = copy.deepcopy(model, memo).requires_grad_(False)
    leave_fast_paths_(small, Int8Linear)
    return small


def gains_by_int8(model: nn.Module) -> bool:
    """Whether `in_int8` would find a layer in `model` that is large enough."""
    return any(map(_gains, find_slots(model)))


def is_int8(model: nn.Module) -> bool:
    """Whether `in_int8` made it."""
    return any(isinstance(module, Int8Linear) for module in model.modules())


class Int8Linear(nn.Module):
    """A linear layer, dense or low rank, whose large enough matrices are int8."""

    def __init__(self, matrix: Matrix, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = shape_of(matrix)
        self.products = nn.ModuleList(_product(part.detach()) for part in _parts(matrix))
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)

    @cached_property
    def weight(self) -> Tensor:
        """The dense weight [out, in] in float, rounded as it is, for code that reads a linear layer's weight."""
        parts = [_dense(product) for product in self.products]
        return parts[0] if len(parts) == 1 else parts[1] @ parts[0]

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        for product in self.products:
            input = product(input)
        return input if self.bias is None else input + self.bias

    def extra_repr(self) -> str:
        """What `print` shows of the layer."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class Int8Product(nn.Module):
    """x to x W^T, with W [out, in] in int8."""

    scale: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        weight, scale = rounded(matrix.float(), LARGEST_WEIGHT)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.register_buffer("scale", scale.T)

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        frames = input.reshape(-1, input.shape[-1])
        products = frames.new_empty(len(frames), len(self.weight), dtype=torch.float32)
        for some, product in zip(torch.split(frames, BLOCK), torch.split(products, BLOCK), strict=True):
            whole, scale = rounded(some.float(), LARGEST)
            torch.mul(torch._int_mm(whole, self.weight.T), scale, out=product).mul_(self.scale)
        return products.to(input.dtype).view(*input.shape[:-1], len(self.weight))


def rounded(rows: Tensor, largest: int) -> tuple[Tensor, Tensor]:
    """int8 [n, in], at most `largest`, and a scale [n, 1] for each row of `rows` [n, in], in float32.

    Their product is off by half a scale at most.
    """
    scale = rows.abs().amax(1, keepdim=True).clamp_(min=SMALLEST_SCALE) / largest
    return (rows / scale).round_().to(torch.int8), scale


def _parts(matrix: Matrix) -> tuple[Tensor, ...]:
    """What a layer multiplies with, in turn."""
    return (matrix.down, matrix.up) if isinstance(matrix, Factors) else (matrix,)


def _gains(slot: Slot) -> bool:
    return isinstance(slot.module, nn.Linear | LowRankLinear) and any(map(_is_large, _parts(slot.matrix)))


def _is_large(matrix: Tensor) -> bool:
    return matrix.numel() >= LEAST_WEIGHTS and min(matrix.shape) >= LEAST_SIDE


def _product(matrix: Tensor) -> nn.Module:
    if _is_large(matrix):
        return Int8Product(matrix)
    product = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
    product.weight = nn.Parameter(matrix.clone(), requires_grad=False)
    return product


def _dense(product: nn.Module) -> Tensor:
    """The matrix that `product` multiplies with, in float."""
    weight = product.get_parameter("weight")
    return weight * product.scale.T if isinstance(product, Int8Product) else weight
