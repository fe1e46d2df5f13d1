"""Decompositions of weight matrices: made once per layer, then sliced for every rank.

Plain SVD keeps the weights as close as possible; calibration-whitened SVD keeps the layer's outputs on its calibration
inputs as close as possible. A matrix that is already a product of factors is decomposed through the factors: exactly,
quickly, and never to more than its present rank.

References:
    Eckart and Young 1936, The approximation of one matrix by another of lower rank.
    Dudziak et al. 2019, ShrinkML, arXiv:1907.03540.
    Wang et al. 2024, SVD-LLM, arXiv:2403.07378.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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
    """

    up: Tensor
    down: Tensor
    singular_values: Tensor

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
    return Decomposition(u * root, root[:, None] * vh, s)


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
    whitening = _cholesky(stats, damping)
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
    return Decomposition((u * (root * balance)).to(dtype), (down / balance[:, None]).to(dtype), s.to(dtype))


FACTORIZERS: dict[str, Factorizer] = {"svd": svd, "whitened": whitened_svd}


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
    for slot in find_slots(model):
        if slot.layer in decompositions:
            continue
        parts = slot.matrix if isinstance(slot.matrix, Factors) else (slot.matrix,)
        if not all(bool(part.isfinite().all()) for part in parts):
            raise PlanError(
                f"layer {slot.layer!r} has NaN or infinite weights; nothing can be factorized before it is mended"
            )
        decompositions[slot.layer] = chosen(slot.matrix, None if stats is None else stats.get(slot.layer))
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


def _cholesky(stats: LayerStats, damping: float) -> Tensor:
    gram = stats.gram.double()
    whitening: Tensor
    problem: Tensor
    ridge = damping * gram.diagonal().mean()
    whitening, problem = torch.linalg.cholesky_ex(
        gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    )
    if problem or not bool(whitening.isfinite().all()):
        raise CalibrationError(
            f"the gram matrix [{len(gram)}, {len(gram)}] of {stats.n_frames} frames with damping {damping} is not "
            "positive definite; calibrate on more speech or raise the damping"
        )
    return whitening
