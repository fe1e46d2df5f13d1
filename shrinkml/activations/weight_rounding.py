"""Rounding of weights that are no matrix of a layer's, in models whose activations are rounded: gains and filters.

They are stored as they are and rounded wherever they are used, each row by its own minimum and maximum.

References:
    Prato et al. 2020, arXiv:1910.10485: the rule; the gain of a normalisation is rounded, biases are not.
"""

from torch import Tensor, nn

from shrinkml.activations.grid import Grid, grid_between
from shrinkml.activations.places import ACTIVATIONS, spec_of


def rounded_weight(module: nn.Module, weight: Tensor) -> Tensor:
    """`weight` [rows, ...] of `module`, rounded as its activations are; as it is where they are not."""
    grid = row_grid(module, weight)
    return weight if grid is None else grid.rounded(weight)


def row_grid(module: nn.Module, weight: Tensor) -> Grid | None:
    """The grid of each row of `weight` [rows, ...] of `module`; None where it rounds nothing."""
    spec = spec_of(module) if ACTIVATIONS in module._modules else None
    if spec is None:
        return None
    low, high = weight.detach().flatten(1).aminmax(dim=1)
    return grid_between(low, high, spec)
