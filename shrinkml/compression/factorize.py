"""Decompositions of weight matrices: made once per layer, then sliced for every rank.

Plain SVD keeps the weights as close as possible; calibration-whitened SVD keeps the layer's outputs on its calibration
inputs as close as possible; principal component analysis (PCA) of the outputs does that with the help of the bias. A
matrix that is already a product of factors is decomposed through the factors: exactly, quickly, and never to more than
its present rank.

References:
    Eckart and Young 1936, The approximation of one matrix by another of lower rank.
    Dudziak et al. 2019, ShrinkML, arXiv:1907.03540.
    Wang et al. 2024, SVD-LLM, arXiv:2403.07378.
    Kamahori et al. 2025, LiteASR, arXiv:2502.20583.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from shrinkml.compression.calibration import LayerStats
from shrinkml.compression.factors import Factors, Matrix
from shrinkml.compression.layers import find_slots
from shrinkml.errors import CalibrationError, PlanError, RankError
from shrinkml.tables import look_up

DAMPING = 1e-3  # ridge on a gram matrix, as a fraction of its mean diagonal


@dataclass(frozen=True, slots=True)
class Decomposition:
    """A matrix [out, in] written as `up` [out, k] @ `down` [k, in], most important direction first.

    Each factor carries the square root of the singular values, which keeps both at the same scale for training.

    Attributes:
        up: [out, k].
        down: [k, in].
        singular_values: [k], descending: of the matrix, or of its product with the whitening matrix. Dropping direction
            i adds `singular_values[i]` squared to the squared error that the factorizer minimises.
        means: [k], what each direction multiplies its column of `up` with on average, where the factorizer leaves that
            to the bias; zeros elsewhere.
    """

    up: Tensor
    down: Tensor
    singular_values: Tensor
    means: Tensor

    @property
    def max_rank(self) -> int:
        """The largest rank that it can be sliced to."""
        return self.singular_values.shape[0]

    def at_rank(self, rank: int) -> Factors:
        """The best factors of that rank; they share no memory with the decomposition.

        Raises:
            RankError: rank outside [1, max_rank].
        """
        if not 1 <= rank <= self.max_rank:
            raise RankError(
                f"rank {rank} of a matrix decomposed to rank {self.max_rank}; allowed: 1 to {self.max_rank}"
            )
        row_major = torch.contiguous_format
        return Factors(
            self.up[:, :rank].clone(memory_format=row_major), self.down[:rank].clone(memory_format=row_major)
        )

    def shift(self, rank: int) -> Tensor:
        """What the bias [out] has to gain at that rank."""
        return self.up[:, rank:] @ self.means[rank:]


class Factorizer(Protocol):
    """Decomposes one matrix. Pure: the decomposition is new, and of the matrix's dtype and device."""

    def __call__(self, matrix: Matrix, stats: LayerStats | None) -> Decomposition:
        """The decomposition of `matrix`; `stats` describe the layer's inputs where they were measured."""
        ...


def svd(matrix: Matrix, stats: LayerStats | None = None) -> Decomposition:
    """Singular value decomposition: at every rank the least squared error of the weights.

    Args:
        matrix: [out, in], dense or factors.
        stats: not needed.
    """
    u, s, vh = _svd(matrix)
    root = s.sqrt()
    return Decomposition(u * root, root[:, None] * vh, s, torch.zeros_like(s))


def whitened_svd(matrix: Matrix, stats: LayerStats | None, *, damping: float = DAMPING) -> Decomposition:
    """At every rank the least squared error of the layer's outputs over its calibration frames.

    With the Cholesky factor L of the gram matrix, that error is the squared norm of (W - W') L: the SVD of W L is
    truncated and L divided out again, in double precision. An embedding multiplies nothing and has no statistics:
    it gets the plain SVD.

    Args:
        matrix: [out, in], dense or factors.
        stats: `gram` [in, in] of the layer's inputs; None falls back to `svd`.
        damping: ridge on the gram matrix, as a fraction of its mean diagonal.

    Raises:
        CalibrationError: the gram matrix is not positive definite.

    References:
        Wang et al. 2024, SVD-LLM, arXiv:2403.07378, section 3.1.
    """
    if stats is None:
        return svd(matrix)
    return _keeping_outputs(matrix, stats.gram.double(), torch.zeros_like(stats.total), stats.n_frames, damping)


def pca(matrix: Matrix, stats: LayerStats | None, *, damping: float = DAMPING) -> Decomposition:
    """At every rank the least squared error of the layer's outputs over its calibration frames, if the bias may change.

    The principal components of the outputs about their mean: `whitened_svd` with the covariance of the inputs for the
    gram matrix. What a dropped direction gave on average goes to the bias.

    Args:
        matrix: [out, in], dense or factors.
        stats: `gram` [in, in] and `total` [in] of the layer's inputs; None falls back to `svd`.
        damping: ridge on the covariance, as a fraction of its mean diagonal.

    Raises:
        CalibrationError: the covariance is not positive definite.

    References:
        Kamahori et al. 2025, LiteASR, arXiv:2502.20583, section 3.
    """
    if stats is None:
        return svd(matrix)
    mean = stats.total.double() / stats.n_frames
    scatter = stats.gram.double() - stats.n_frames * torch.outer(mean, mean)
    return _keeping_outputs(matrix, scatter, mean, stats.n_frames, damping)


def _keeping_outputs(matrix: Matrix, gram: Tensor, mean: Tensor, n_frames: int, damping: float) -> Decomposition:
    """The decomposition of least output error on inputs of that `gram` matrix about their `mean`."""
    whitening = _cholesky(gram, n_frames, damping)
    dtype = matrix.up.dtype if isinstance(matrix, Factors) else matrix.dtype
    if isinstance(matrix, Factors):
        u, s, vh = _svd(Factors(matrix.up.double(), matrix.down.double() @ whitening))
    else:
        u, s, vh = _svd(matrix.double() @ whitening)
    root = s.sqrt()
    # down L = sqrt(s) vh, solved for down from the right.
    down = torch.linalg.solve_triangular(whitening, root[:, None] * vh, upper=False, left=False)
    # As in `svd`, each column of up is as long as its row of down: fine-tuning takes steps of one size for both.
    balance = (down.norm(dim=1) / root).sqrt()
    balance = torch.where(balance > 0, balance, 1.0)
    up, down = u * (root * balance), down / balance[:, None]
    return Decomposition(up.to(dtype), down.to(dtype), s.to(dtype), (down @ mean.double()).to(dtype))


FACTORIZERS: dict[str, Factorizer] = {"svd": svd, "whitened": whitened_svd, "pca": pca}


@torch.no_grad()
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
    chosen = look_up(FACTORIZERS, factorizer, kind="factorizer")
    decompositions: dict[str, Decomposition] = {}
    slots = find_slots(model)
    without_bias = {slot.layer for slot in slots if slot.bias is None}
    for slot in slots:
        if slot.layer in decompositions:
            continue
        parts = slot.matrix if isinstance(slot.matrix, Factors) else (slot.matrix,)
        if not all(bool(part.isfinite().all()) for part in parts):
            raise PlanError(
                f"layer {slot.layer!r} has NaN or infinite weights; nothing can be factorized before it is mended"
            )
        seen = None if stats is None else stats.get(slot.layer)
        if seen is not None and slot.layer in without_bias:  # nothing takes up what a mean would leave to it
            seen = replace(seen, total=torch.zeros_like(seen.total))
        decompositions[slot.layer] = chosen(slot.matrix, seen)
    return decompositions


def _svd(matrix: Matrix) -> tuple[Tensor, Tensor, Tensor]:
    """The thin SVD; of factors through the small core between their orthogonal parts."""
    if not isinstance(matrix, Factors):
        u, s, vh = torch.linalg.svd(matrix.detach(), full_matrices=False)
        return u, s, vh
    left, left_core = torch.linalg.qr(matrix.up.detach())
    right, right_core = torch.linalg.qr(matrix.down.detach().T)
    u, s, vh = torch.linalg.svd(left_core @ right_core.T, full_matrices=False)
    return left @ u, s, vh @ right.T


def _cholesky(gram: Tensor, n_frames: int, damping: float) -> Tensor:
    whitening: Tensor
    problem: Tensor
    ridge = damping * gram.diagonal().mean()
    whitening, problem = torch.linalg.cholesky_ex(
        gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    )
    if problem or not bool(whitening.isfinite().all()):
        raise CalibrationError(
            f"the gram matrix [{len(gram)}, {len(gram)}] of {n_frames} frames with damping {damping} is not "
            "positive definite; calibrate on more speech or raise the damping"
        )
    return whitening
