"""Decompositions of weight matrices: made once per layer, then sliced for every rank.

Plain SVD keeps the weights as close as possible; calibration-whitened SVD keeps the layer's outputs on its calibration
inputs as close as possible; principal component analysis (PCA) of the outputs does that with the help of the bias. A
matrix that is already a product of factors is decomposed through the factors: exactly, quickly, and never to more than
its present rank.

Statistics may be float32: what is delicate is done in double precision. A tall matrix (an output layer: a row for each
of many tokens) goes through the eigendecomposition of its small gram matrix instead of the SVD, which would need
several copies of it. Nothing is randomized.

References:
    Eckart and Young 1936, The approximation of one matrix by another of lower rank.
    Dudziak et al. 2019, ShrinkML, arXiv:1907.03540.
    Wang et al. 2024, SVD-LLM, arXiv:2403.07378.
    Kamahori et al. 2025, LiteASR, arXiv:2502.20583.
"""

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from shrinkml.compression.calibration import LayerStats
from shrinkml.compression.factorizer_table import FACTORIZERS, Factorizer
from shrinkml.compression.finite import all_finite
from shrinkml.compression.sites import find_sites
from shrinkml.errors import CalibrationError, PlanError
from shrinkml.tables import look_up
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import Form, up_and_down

log = logging.getLogger(__name__)

DAMPING = 1e-3  # ridge on a gram matrix, as a fraction of its mean diagonal
ROUNDING = 32  # of a gram matrix, in machine epsilons, by the squared norm of a mean that is taken from it
TALL = 16  # rows per column from which a matrix is decomposed by its gram matrix
NOTHING = 1e-12  # a singular value of a tall matrix, as a part of the largest, that is a rounded zero
BLOCK = 4096  # rows of a tall matrix that are held in double precision


class Decompose(Protocol):
    """Decomposes one matrix. Pure: the decomposition is new, and of the matrix's dtype and device."""

    def __call__(self, matrix: Form, stats: LayerStats | None) -> Decomposition:
        """The decomposition of `matrix`; `stats` describe the layer's inputs where they were measured."""
        ...


def svd(matrix: Form, stats: LayerStats | None = None) -> Decomposition:
    """Singular value decomposition: at every rank the least squared error of the weights.

    Args:
        matrix: [out, in], in any form.
        stats: not needed.
    """
    last, thin = up_and_down(matrix)
    u, s, vh = _dense_svd(last) if thin is None else _thin_svd(last, thin)
    root = s.sqrt()
    up, down = u.mul_(root.to(u.dtype)), root[:, None] * vh
    zeros, nothing = torch.zeros_like(s, dtype=u.dtype), torch.zeros_like(down[0], dtype=u.dtype)
    return Decomposition(up, down.to(u.dtype), s.to(u.dtype), zeros, nothing, up.new_empty(0, 0))


def whitened_svd(matrix: Form, stats: LayerStats | None, *, damping: float = DAMPING) -> Decomposition:
    """At every rank the least squared error of the layer's outputs over its calibration frames.

    With the Cholesky factor L of the gram matrix, that error is the squared norm of (W - W') L: the SVD of W L is
    truncated and L divided out again, in double precision. An embedding multiplies nothing and has no statistics:
    it gets the plain SVD.

    Args:
        matrix: [out, in], in any form.
        stats: `gram` [in, in] of the layer's inputs; None falls back to `svd`.
        damping: ridge on the gram matrix, as a fraction of its mean diagonal.

    Raises:
        CalibrationError: the gram matrix is not positive definite.

    References:
        Wang et al. 2024, SVD-LLM, arXiv:2403.07378, section 3.1.
    """
    if stats is None:
        return svd(matrix)
    whitening = damped_cholesky(as_double(stats.gram, like=stats.total), stats.n_frames, damping)
    return _keeping_outputs(matrix, whitening, torch.zeros_like(stats.total))


def pca(matrix: Form, stats: LayerStats | None, *, damping: float = DAMPING) -> Decomposition:
    """At every rank the least squared error of the layer's outputs over its calibration frames, if the bias may change.

    The principal components of the outputs about their mean: `whitened_svd` with the covariance of the inputs for the
    gram matrix. What a dropped direction gave on average goes to the bias. Inputs that hardly vary about
    their mean are taken to vary by what rounding may hide.

    Args:
        matrix: [out, in], in any form.
        stats: `gram` [in, in] and `total` [in] of the layer's inputs; None falls back to `svd`.
        damping: ridge on the covariance, as a fraction of its mean diagonal.

    Raises:
        CalibrationError: the covariance is not positive definite.

    References:
        Kamahori et al. 2025, LiteASR, arXiv:2502.20583, section 3.
    """
    if stats is None:
        return svd(matrix)
    scatter, mean = scatter_of(stats)
    return _keeping_outputs(matrix, damped_cholesky(scatter, stats.n_frames, damping), mean)


def scatter_of(stats: LayerStats) -> tuple[Tensor, Tensor]:
    """The sum over frames of (x - mean) (x - mean)^T, [in, in], and the mean of the inputs x, [in], both float64.

    Inputs that hardly vary are taken to vary by what rounding may hide.
    """
    mean = stats.total.double() / stats.n_frames
    scatter = as_double(stats.gram, like=stats.total).addr_(mean, mean, alpha=-stats.n_frames)
    scatter.diagonal().add_(ROUNDING * torch.finfo(stats.gram.dtype).eps * stats.n_frames * mean.square().sum())
    return scatter, mean


def _keeping_outputs(matrix: Form, whitening: Tensor, mean: Tensor) -> Decomposition:
    """The decomposition of least output error on inputs of that `mean`, which are white once divided by `whitening`."""
    up, down = up_and_down(matrix)
    dtype = up.dtype
    if down is not None:
        u, s, vh = _thin_svd(up.double(), down.double() @ whitening)
    elif _is_tall(up):
        u, s, vh = _tall_svd(up, whitening)
    else:
        u, s, vh = _dense_svd(up.double() @ whitening)
    root = s.sqrt()
    # down L = sqrt(s) vh, solved for down from the right.
    down = torch.linalg.solve_triangular(whitening, root[:, None] * vh, upper=False, left=False)
    # As in `svd`, each column of up is as long as its row of down: fine-tuning takes steps of one size for both.
    balance = (down.norm(dim=1) / root).sqrt()
    balance = torch.where(balance > 0, balance, 1.0)
    up, down = u.mul_((root * balance).to(u.dtype)), down / balance[:, None]
    mean = mean.double()
    found = up, down, s, down @ mean, mean, whitening
    return Decomposition(*(part.to(dtype) for part in found))


def decompose(
    model: nn.Module, factorizer: str = "svd", stats: Mapping[str, LayerStats] | None = None
) -> dict[str, Decomposition]:
    """Every factorizable layer of `model`, decomposed: layer name -> decomposition.

    Args:
        model: dense or in part low rank already.
        factorizer: name in `FACTORIZERS`.
        stats: layer name -> calibration statistics, for the factorizers that use them.

    Raises:
        UnknownNameError: no such factorizer.
        PlanError: a weight with NaN or infinite values.
        CalibrationError: statistics that the factorizer cannot use.
    """
    return dict(decompose_each(model, factorizer, dict(stats or {})))


@torch.no_grad()
def decompose_each(
    model: nn.Module, factorizer: str, stats: dict[str, LayerStats], *, left: Collection[str] = ()
) -> Iterator[tuple[str, Decomposition]]:
    """The layers of `model`, decomposed one by one: name and decomposition. Nothing is held that was handed out.

    Layers whose inputs were all 0 are left out too, where the factorizer looks at inputs: none of their directions is
    known to matter, and the next speech may need any. The log names them.

    Args:
        model: dense or in part low rank already.
        factorizer: name in `FACTORIZERS`.
        stats: layer name -> calibration statistics; emptied on the way, so that they need not be held longer either.
        left: names of layers that are left out.

    Raises:
        As `decompose`; also CalibrationError where the inputs of all layers were 0.
    """
    chosen = look_up(FACTORIZERS, factorizer, kind="factorizer")
    sites = [site for site in find_sites(model) if site.layer not in left]
    without_bias = {site.layer for site in sites if site.bias is None}
    silent, n_found = [], 0
    for layer, form in {site.layer: site.form for site in sites}.items():
        if chosen.calibrated and layer in stats and stats[layer].is_silent:
            silent.append(layer)
            del stats[layer]
            continue
        n_found += 1
        if not all(map(all_finite, form.parts)):
            raise PlanError(
                f"layer {layer!r} has NaN or infinite weights; nothing can be factorized before it is mended"
            )
        # Whatever is not named here is let go of before the next layer's turn.
        yield layer, _named(layer, chosen, form, _seen(stats.pop(layer, None), has_bias=layer not in without_bias))
    if silent and not n_found:
        raise CalibrationError(
            f"the inputs of all layers ({', '.join(silent)}) are 0 on the calibration speech: the model hears nothing; "
            "look at its features, or take the factorizer svd, which looks at weights alone"
        )
    if silent:
        log.warning("layers that hear nothing but zeros on the calibration speech stay as they are: %s", silent)


def _named(layer: str, chosen: Factorizer, form: Form, stats: LayerStats | None) -> Decomposition:
    try:
        return chosen.decompose(form, stats)
    except CalibrationError as error:
        raise CalibrationError(f"layer {layer!r}: {error}") from error


def _seen(stats: LayerStats | None, *, has_bias: bool) -> LayerStats | None:
    """The statistics of a layer. Without a bias, nothing takes up what a mean would leave to it."""
    return stats if has_bias or stats is None else replace(stats, total=torch.zeros_like(stats.total))


def _dense_svd(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The thin SVD of `matrix` [out, in]."""
    if _is_tall(matrix):
        return _tall_svd(matrix)
    u, s, vh = torch.linalg.svd(matrix.detach(), full_matrices=False)
    return u, s, vh


def _thin_svd(up: Tensor, down: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The thin SVD of `up` [out, k] @ `down` [k, in], through the small core between their orthogonal parts."""
    left, left_core = torch.linalg.qr(up.detach())
    right, right_core = torch.linalg.qr(down.detach().T)
    u, s, vh = torch.linalg.svd(left_core @ right_core.T, full_matrices=False)
    return left @ u, s, vh @ right.T


def _tall_svd(matrix: Tensor, whitening: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """The thin SVD of `matrix` [out, in] @ `whitening` [in, in], float64 but for u, by an eigendecomposition.

    Of its gram matrix: half the digits of float64 are left, more than float32 has. Singular values below 1e-8 of the
    largest are noise; the product of all three is exact there too, for vh is orthogonal.
    """
    n_out, n_in = matrix.shape
    gram = matrix.new_zeros(n_in, n_in, dtype=torch.float64)
    for rows in torch.split(matrix.detach(), BLOCK):
        gram.addmm_(rows.double().T, rows.double())
    if whitening is not None:
        gram = whitening.T @ gram @ whitening
    energies, v = torch.linalg.eigh(gram)
    s, v = energies.flip(0).clamp(min=0.0).sqrt(), v.flip(1)
    to_u = torch.where(s > NOTHING * s[0], v / s, 0.0)
    to_u = to_u if whitening is None else whitening @ to_u
    u = matrix.new_empty(n_out, n_in)
    for rows, found in zip(torch.split(matrix.detach(), BLOCK), torch.split(u, BLOCK), strict=True):
        found.copy_(rows.double() @ to_u)
    return u, s, v.T


def _is_tall(matrix: Tensor) -> bool:
    return matrix.shape[0] >= TALL * matrix.shape[1]


def as_double(gram: Tensor, *, like: Tensor) -> Tensor:
    """A copy of `gram` in double precision, where `like` is."""
    return gram.to(like.device, torch.float64, copy=True)


def damped_cholesky(gram: Tensor, n_frames: int, damping: float) -> Tensor:
    """The Cholesky factor of `gram` with a ridge, which is written into it."""
    whitening: Tensor
    problem: Tensor
    gram.diagonal().add_(damping * gram.diagonal().mean())
    whitening, problem = torch.linalg.cholesky_ex(gram)
    if problem or not all_finite(whitening):
        raise CalibrationError(
            f"the gram matrix [{len(gram)}, {len(gram)}] of {n_frames} frames with damping {damping} is not "
            "positive definite; calibrate on more speech, or take the factorizer svd, which looks at weights alone"
        )
    return whitening
