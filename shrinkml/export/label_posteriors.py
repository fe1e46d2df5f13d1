"""Posteriors of each next label by the lattice of a transducer, in numpy: what `Head.rows` of one tells in torch."""

from collections.abc import Sequence

import numpy as np


def label_posteriors(lattice: np.ndarray, labels: Sequence[int], blank: int) -> np.ndarray:
    """[labels + 1, vocabulary]: log probabilities of what is said behind each label, all alignments together.

    The blank stands for the end of the transcript.

    Args:
        lattice: [frames, labels + 1, vocabulary], logits.
        labels: of the transcript.
        blank: the label that goes on to the next frame.
    """
    logs = lattice - np.logaddexp.reduce(lattice, axis=-1, keepdims=True)
    n_frames, n_rows, _ = logs.shape
    reached = np.full((n_frames, n_rows), -np.inf)
    reached[0, 0] = 0.0
    for t in range(n_frames):
        for u in range(n_rows):
            if t:
                reached[t, u] = np.logaddexp(reached[t, u], reached[t - 1, u] + logs[t - 1, u, blank])
            if u:
                reached[t, u] = np.logaddexp(reached[t, u], reached[t, u - 1] + logs[t, u - 1, labels[u - 1]])
    ways = logs + reached[..., None]
    said: np.ndarray = np.logaddexp.reduce(ways, axis=0)
    said[:, blank] = ways[-1, :, blank]  # of all blanks, only the last frame's ends it
    return said - np.logaddexp.reduce(said, axis=-1, keepdims=True)
