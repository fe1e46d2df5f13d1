"""The likelihood of transcripts under a transducer: a sum over all alignments, one anti-diagonal of the lattice a step.

A lattice has a node (t, u) for each frame t and each number u of labels said by then. From there the blank leads to
(t + 1, u), the next label to (t, u + 1). All nodes of an anti-diagonal t + u = d depend on those of d - 1 alone, so
that a step is a few operations on [batch, labels + 1] numbers, and torch differentiates it.

References:
    Graves 2012, Sequence transduction with recurrent neural networks, arXiv:1211.3711 (eq. 16, the recursion).
    Bagby et al. 2018, Efficient implementation of recurrent neural network transducer in TensorFlow, SLT (the skewed
    lattice).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

IMPOSSIBLE = -1e30  # the logarithm of no probability: finite, so that no gradient becomes 0 / 0


class Lattice(NamedTuple):
    """The log probabilities of the two ways that leave each node of the lattices of a batch.

    Attributes:
        blank: [batch, frames, labels + 1], to the next frame.
        label: [batch, frames, labels], to the next label of the transcript.
        frame_counts: [batch], int64: valid frames, 1 or more each.
        label_counts: [batch], int64: valid labels.
    """

    blank: Tensor
    label: Tensor
    frame_counts: Tensor
    label_counts: Tensor


def log_likelihood(lattice: Lattice) -> Tensor:
    """[batch]: log probability of each transcript, the sum over all of its alignments; differentiable."""
    diagonals = _diagonals(lattice)
    rows = torch.arange(len(lattice.blank), device=lattice.blank.device)
    return diagonals[lattice.frame_counts + lattice.label_counts, rows, lattice.label_counts]


def forward_scores(lattice: Lattice) -> Tensor:
    """[batch, frames, labels + 1]: log probability that an alignment comes through each node."""
    _, n_frames, n_rows = lattice.blank.shape
    device = lattice.blank.device
    frames, labels = torch.arange(n_frames, device=device)[:, None], torch.arange(n_rows, device=device)
    return _diagonals(lattice)[frames + labels, :, labels].permute(2, 0, 1)


def _diagonals(lattice: Lattice) -> Tensor:
    """[frames + labels + 1, batch, labels + 1]: the forward scores of node (d - u, u) at [d, :, u].

    Behind its last blank an utterance of T frames and U labels has its likelihood, at (T, U).
    """
    blank, label, frame_counts, _ = lattice
    n_frames = blank.shape[1]
    beyond = torch.arange(n_frames, device=blank.device) >= frame_counts[:, None]
    label = F.pad(label.masked_fill(beyond[:, :, None], IMPOSSIBLE), (0, 1), value=IMPOSSIBLE)
    blanks, labels = _skewed(blank).unbind(1), _skewed(label).unbind(1)
    now = F.pad(blank.new_zeros(len(blank), 1), (0, blank.shape[2] - 1), value=IMPOSSIBLE)
    found = [now]
    for to_frame, to_label in zip(blanks, labels, strict=True):
        said = F.pad((now + to_label)[:, :-1], (1, 0), value=IMPOSSIBLE)
        now = torch.logaddexp(now + to_frame, said)
        found.append(now)
    return torch.stack(found)


def _skewed(scores: Tensor) -> Tensor:
    """[batch, frames + labels, labels + 1]: row d holds the anti-diagonal d of `scores` [batch, frames, labels + 1]."""
    batch, n_frames, n_rows = scores.shape
    padded = F.pad(scores.transpose(1, 2), (0, n_rows), value=IMPOSSIBLE).flatten(1)
    n_diagonals = n_frames + n_rows - 1
    return padded[:, : n_rows * n_diagonals].reshape(batch, n_rows, n_diagonals).transpose(1, 2)
