"""Convolutions that join frames before an encoder."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

WIDTH = 3  # steps of each window


class Subsampling(nn.Module):
    """Convolutions in time with ReLUs, and a linear layer.

    Args:
        n_mels: numbers of each frame.
        hidden: units of each convolution, and of the output.
        reductions: for each convolution, how many steps are joined by it (1 or 2).
    """

    def __init__(self, n_mels: int, hidden: int, reductions: Sequence[int]) -> None:
        super().__init__()
        self.reductions = tuple(reductions)
        self.convolutions = nn.ModuleList()
        for width, reduction in zip((n_mels, *[hidden] * len(reductions)), reductions, strict=False):
            self.convolutions.append(nn.Conv1d(width, hidden, WIDTH, stride=reduction, padding=WIDTH // 2))
        self.projection = nn.Linear(hidden, hidden)

    def forward(self, frames: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """The steps [batch, steps, hidden] of `frames` [batch, frames, n_mels], and which of them count [batch, steps].

        Args:
            frames: zero behind the `counts` [batch] of each utterance.
            counts: valid frames.
        """
        steps, inside = frames.transpose(1, 2), within(counts, frames.shape[1])
        for reduction, convolution in zip(self.reductions, self.convolutions, strict=True):
            counts = (counts + reduction - 1) // reduction
            steps = convolution(steps).relu()
            inside = within(counts, steps.shape[2])
            steps = steps * inside[:, None]
        return self.projection(steps.transpose(1, 2)), inside


def within(counts: Tensor, n: int) -> Tensor:
    """[batch, n]: true at the first `counts` [batch] steps."""
    return torch.arange(n, device=counts.device) < counts[:, None]
