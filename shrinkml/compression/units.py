"""The units between two linear layers, most important first, and what those that stay give in place of those cut.

Units are the inputs a of the second layer, W a. Without some of them the least squared error of its outputs over the
calibration frames is reached by the regression of W a on the others (with the bias, about their means). Cutting unit j
adds |w_j|^2 / [C^-1]_jj to that error, C being the scatter of a and W already fitted to it: the saliency of the Optimal
Brain Surgeon for a whole column, as ZipLM has it. Many units are cut at a time, a sixteenth of those left.

With the units in that order and C = L L^T, W = (W L) L^-1 is a decomposition whose first k directions are made of the
first k units alone: W L cut to k columns, times L^-1 cut to k rows, is the regression on them. So, like a rank, any
number of units is sliced out of one decomposition. That form is our own.

References:
    Hassibi and Stork 1993, Second order derivatives for network pruning: Optimal Brain Surgeon, equation 5.
    Kurtic et al. 2023, ZipLM, arXiv:2302.04089, section 3.1.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from shrinkml.compression.calibration import LayerStats
from shrinkml.compression.factorizers import DAMPING, as_double, damped_cholesky, scatter_of
from shrinkml.compression.sites import Pairs, sites_by_layer
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import Form

SHARE = 16  # of the units that are left, one in so many is cut before the others are fitted anew


def decompose_units(
    model: nn.Module, pairs: Pairs, stats: Mapping[str, LayerStats]
) -> Iterator[tuple[str, Decomposition]]:
    """The decompositions of the followers in `pairs` into units, made one by one; each is given for both of its pair.

    Pairs whose follower hears nothing, or has no `stats`, are left out.

    Args:
        model: that has those layers.
        pairs: of them.
        stats: of the followers.

    Raises:
        CalibrationError: statistics that are not positive definite.
    """
    sites = sites_by_layer(model)
    for first, second in pairs.items():
        if second in stats and not stats[second].is_silent:
            site = sites[second]
            found = unit_decomposition(site.form, stats[second], centred=site.bias is not None)
            yield second, found
            yield first, found


@torch.no_grad()
def unit_decomposition(
    matrix: Form, stats: LayerStats, *, centred: bool = True, damping: float = DAMPING
) -> Decomposition:
    """The decomposition of `matrix` into units: of its first k directions, k columns of it are all that is needed.

    Args:
        matrix: [out, units], of the layer that multiplies the units.
        stats: `gram` [units, units] and `total` [units] of them.
        centred: True where the layer's bias may take over what cut units give on average.
        damping: ridge on their scatter, as a fraction of its mean diagonal.

    Raises:
        CalibrationError: their scatter is not positive definite.
    """
    weight = matrix.dense().detach()
    if centred:
        scatter, mean = scatter_of(stats)
    else:
        scatter, mean = as_double(stats.gram, like=stats.total), torch.zeros_like(stats.total, dtype=torch.float64)
    damped_cholesky(scatter, stats.n_frames, damping)  # leaves its ridge in it
    order = unit_order(weight.double(), scatter)
    root = torch.linalg.cholesky(scatter[order][:, order])
    up = weight.double()[:, order] @ root
    down = torch.zeros_like(scatter)
    down[:, order] = _inverse(root)
    found = (up, down, up.norm(dim=0), down @ mean, mean, mean.new_empty(0, 0))
    return Decomposition(*(part.to(weight) for part in found))


def unit_order(weight: Tensor, scatter: Tensor) -> Tensor:
    """The units, most important first: [units], indices of columns.

    Args:
        weight: [out, units].
        scatter: [units, units] of the units, positive definite.
    """
    left = torch.arange(len(scatter), device=scatter.device)
    fitted = weight
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(scatter))
    cut: list[Tensor] = []
    while len(left):
        saliency = fitted.square().sum(0) / inverse.diagonal()
        least_first = saliency.argsort()
        n_cut = -(-len(left) // SHARE)
        out, kept = least_first[:n_cut], least_first[n_cut:]
        cut.append(left[out])
        makes_up = torch.linalg.solve(inverse[out][:, out], inverse[out][:, kept])
        fitted = fitted[:, kept] - fitted[:, out] @ makes_up
        inverse = inverse[kept][:, kept] - inverse[kept][:, out] @ makes_up
        left = left[kept]
    return torch.cat(cut).flip(0)


def _inverse(lower: Tensor) -> Tensor:
    """The inverse of a lower triangular matrix, with nothing but zeros above its diagonal."""
    inverse: Tensor = torch.linalg.solve_triangular(lower, torch.eye(len(lower)).to(lower), upper=False)
    return inverse.tril()
