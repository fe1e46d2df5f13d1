"""A matrix as a product of two, most important direction first: decomposed once, sliced for every rank."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from shrinkml.errors import RankError


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
        mean: [in], of each input, where that is left to the bias; zeros elsewhere.
        root: [in, in], lower triangular, the Cholesky factor of the scatter of inputs about `mean`, up to a common
            factor: an error E of the matrix costs the squared norm of E @ root. [0, 0] where no input is known.
        order: [rows], those of units that may be cut one after the other, most important unit first, all rows of a unit
            together; [0] where none are.
        added: of each of them what it keeps away, as `singular_values` of a direction.
        feeds: [n, 4], the columns that others may cut: the number of the layer whose units they are, in the order of
            the model, and of `shrinkml.plan.wiring.Feed` all the rest.
    """

    up: Tensor
    down: Tensor
    singular_values: Tensor
    means: Tensor
    mean: Tensor
    root: Tensor
    order: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    added: Tensor = field(default_factory=lambda: torch.zeros(0))
    feeds: Tensor = field(default_factory=lambda: torch.zeros(0, 4, dtype=torch.long))

    @property
    def max_rank(self) -> int:
        """The largest rank that it can be sliced to."""
        return self.singular_values.shape[0]

    @property
    def spread(self) -> Tensor:
        """[in], how far each input is from `mean`, up to a common factor; ones where nothing is known of inputs."""
        return self.root.norm(dim=1) if len(self.root) else torch.ones_like(self.mean)

    def at_rank(self, rank: int) -> tuple[Tensor, Tensor]:
        """The best `up` and `down` of that rank; they share no memory with the decomposition.

        Raises:
            RankError: rank outside [1, max_rank].
        """
        if not 1 <= rank <= self.max_rank:
            raise RankError(
                f"rank {rank} of a matrix decomposed to rank {self.max_rank}; allowed: 1 to {self.max_rank}"
            )
        row_major = torch.contiguous_format
        up, down = self.up[:, :rank], self.down[:rank]
        return up.clone(memory_format=row_major), down.clone(memory_format=row_major)

    def inputs_of(self, rank: int) -> Tensor:
        """The columns of the matrix that the first `rank` directions are made of, ascending; at least `rank`.

        Just as many of a decomposition whose directions take in one input after the other
        (`shrinkml.compression.units`): then these are the inputs that are left at that rank.
        """
        return self.down[:rank].any(0).nonzero().flatten()

    def rows_of(self, n: int) -> Tensor:
        """The `n` rows that are left where units are cut that the matrix computes, ascending."""
        return self.order[:n].sort().values if len(self.order) else self.inputs_of(n)

    def shift(self, rank: int) -> Tensor:
        """The vector [out] that the bias has to gain at that rank."""
        return self.up[:, rank:] @ self.means[rank:]
