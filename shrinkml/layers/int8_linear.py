"""A linear layer that multiplies in int8 in torch: weights rounded once, row by row, activations at each call.

Torch's own way to this (`torch.ao.quantization`) is about to be removed, and scales all frames of a call together; that
of torchao, uncompiled, is slower on CPUs than float.

References:
    Bie et al. 2019, A Simplified Fully Quantized Transformer for End-to-end Speech Recognition, arXiv:1911.03604: why
        activations, too. Dettmers et al. 2022, LLM.int8(), arXiv:2208.07339, section 2: scales by row and by frame.
"""

from functools import cached_property, reduce

import torch
from torch import Tensor, nn

from shrinkml.weights.form import Form

LEAST_WEIGHTS, LEAST_SIDE = 2**15, 96  # of a matrix: in smaller ones, rounding the frames takes what int8 saves
LARGEST = 127  # of a frame's int8; -128 is not used, so that all is symmetric
LARGEST_WEIGHT = 63  # processors without VNNI add two products in 16 bits, which more would overflow
BLOCK = 512  # frames rounded at a time, so that they stay in the processor's cache
SMALLEST_SCALE = 1e-30  # of a row or frame of zeros


class Int8Linear(nn.Module):
    """A linear layer whose large enough factors are int8. It can only run."""

    def __init__(self, form: Form, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = form.shape
        self.products = nn.ModuleList(_product(factor.detach()) for factor in form.factors)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)

    @cached_property
    def weight(self) -> Tensor:
        """The dense weight [out, in] in float, rounded as it is, for code that reads a linear layer's weight."""
        return reduce(lambda inner, outer: outer @ inner, map(_dense, self.products))

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        for product in self.products:
            input = product(input)
        return input if self.bias is None else input + self.bias

    def extra_repr(self) -> str:
        """The shape, for `print`."""
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


def gains(form: Form) -> bool:
    """True where a factor of the matrix is large enough to be faster in int8."""
    return any(map(_is_large, form.factors))


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
