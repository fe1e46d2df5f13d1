"""A matrix W [out, in] as a product `up` [out, rank] @ `down` [rank, in], and how modules hold either form.

A module holds the dense matrix `weight` as the parameter of that name, its factors as `weight_up` and `weight_down`.
The weight of a convolution [out, channels, width] stands for the matrix [out, channels * width] that multiplies its
window.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Factors(NamedTuple):
    """Two matrices that stand for their product.

    Attributes:
        up: [out, rank].
        down: [rank, in].
    """

    up: Tensor
    down: Tensor

    @property
    def rank(self) -> int:
        """Columns of `up`, rows of `down`."""
        return self.up.shape[1]


Matrix = Tensor | Factors


def product(matrix: Matrix) -> Tensor:
    """The dense matrix [out, in]."""
    return matrix.up @ matrix.down if isinstance(matrix, Factors) else matrix


def shape_of(matrix: Matrix) -> tuple[int, int]:
    """Rows and columns of the dense matrix."""
    if isinstance(matrix, Factors):
        return matrix.up.shape[0], matrix.down.shape[1]
    return matrix.shape[0], matrix.shape[1]


def rank_of(matrix: Matrix) -> int | None:
    """The rank that the matrix is stored at; None where it is dense."""
    return matrix.rank if isinstance(matrix, Factors) else None


def apply(matrix: Matrix, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """Returns x W^T + bias: [..., in] to [..., out], through the factors where there are any."""
    if isinstance(matrix, Factors):
        return F.linear(F.linear(x, matrix.down), matrix.up, bias)
    return F.linear(x, matrix, bias)


def parameter_names(name: str, *, low_rank: bool) -> tuple[str, ...]:
    """The parameters that hold the matrix `name` in its module."""
    return (f"{name}_up", f"{name}_down") if low_rank else (name,)


def get_parameters(module: nn.Module, name: str) -> tuple[nn.Parameter, ...]:
    """The parameters in which `module` holds the matrix `name`: one where it is dense, two where it is low rank."""
    names = parameter_names(name, low_rank=f"{name}_up" in module._parameters)
    return tuple(module.get_parameter(part) for part in names)


def get_matrix(module: nn.Module, name: str) -> Matrix:
    """The matrix `name` of `module`, in the form in which the module holds it."""
    parameters = get_parameters(module, name)
    return Factors(*parameters) if len(parameters) == 2 else parameters[0].flatten(1)


def ranks_of(module: nn.Module) -> dict[str, int]:
    """The rank of each matrix that `module` holds as factors."""
    return {
        name.removesuffix("_down"): len(p)
        for name, p in module._parameters.items()
        if p is not None and name.endswith("_down")
    }


def add_matrix(module: nn.Module, name: str, shape: tuple[int, int], rank: int | None) -> None:
    """Registers zeros for the matrix `name` of `module`: dense where `rank` is None, factors otherwise."""
    n_out, n_in = shape
    shapes = (shape,) if rank is None else ((n_out, rank), (rank, n_in))
    for part, part_shape in zip(parameter_names(name, low_rank=rank is not None), shapes, strict=True):
        module.register_parameter(part, nn.Parameter(torch.zeros(part_shape)))
