"""The scores of one pass of a transducer for reference transcripts.

They are a lattice of frames and labels. Its loss sums over all alignments; a student learns every node of it, whole or
collapsed to the next label, the blank and all others together; and what it says next, after each label of the
reference, is told exactly, whatever the alignment.

References:
    Graves 2012, Sequence transduction with recurrent neural networks, arXiv:1211.3711.
    Panchapagesan et al. 2021, Efficient knowledge distillation for RNN-transducer models, arXiv:2011.06110 (the
    collapsed lattice).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from shrinkml.models.heads import IGNORE
from shrinkml.models.posteriors import LEAST, Posteriors, kl_per_step, likeliest
from shrinkml.models.transducer.joint import MOST_SCORES, Joint, in_blocks, score_lattice
from shrinkml.models.transducer.transducer_loss import Lattice, forward_scores, log_likelihood


@dataclass(frozen=True, eq=False)  # no slots: the lattice is scored once, when it is first asked for
class TransducerHead:
    """Scores of every label behind every frame; implements `Head`.

    Attributes:
        joint: from encoded + predicted [..., joint] to logits [..., vocabulary].
        encoded: [batch, frames, joint].
        predicted: [batch, labels + 1, joint].
        targets: [batch, labels], the labels of the transcripts; IGNORE beyond the end.
        frame_counts: [batch], valid frames.
        blank: the label that goes on to the next frame.
        taught: name in TAUGHT: what a student learns of each node.
        most: scores that are in memory at a time.
    """

    joint: Joint
    encoded: Tensor
    predicted: Tensor
    targets: Tensor
    frame_counts: Tensor
    blank: int
    taught: str = "collapsed"
    most: int = MOST_SCORES

    def loss(self) -> Tensor:
        """The negative log likelihood of the transcripts, per label, their ends included."""
        return -log_likelihood(self._lattice).sum() / self.n_tokens

    def rows(self) -> list[Tensor]:
        """[labels + 1, vocabulary] of each utterance: log probabilities of what is said next, all alignments together.

        After each prefix of the transcript, the blank stands for its end. Their sum along the transcript is its log
        likelihood.
        """
        reached = forward_scores(self._lattice)
        return [self._next_labels(i, reached[i]) for i in range(len(self.targets))]

    def tokens(self) -> list[list[int]]:
        """The labels of each transcript, and the blank that ends it."""
        return [[*row[row != IGNORE].tolist(), self.blank] for row in self.targets]

    @property
    def n_tokens(self) -> int:
        """Labels of all transcripts together, ends included."""
        return int(self._label_counts.sum()) + len(self.targets)

    def teacher_targets(self) -> list[Posteriors]:
        """Posteriors of every node."""
        return [likeliest(row) for row in TAUGHT[self.taught](self)]

    def distillation_loss(self, targets: Sequence[Posteriors]) -> Tensor:
        """Divergence of all nodes together, per label: as much of the loss as what was said."""
        n_nodes = sum(len(kept.values) for kept in targets)
        return kl_per_step(targets, TAUGHT[self.taught](self)) * (n_nodes / self.n_tokens)

    def whole(self) -> list[Tensor]:
        """[nodes, vocabulary] of each utterance: logits, all in memory."""
        joined = self.encoded[:, :, None] + self.predicted[:, None]
        return [self.joint(nodes).flatten(0, 1) for nodes in self._valid(joined)]

    def collapsed(self) -> list[Tensor]:
        """[nodes, 3] of each utterance: log probabilities of the next label, the blank and all others together.

        At the last row of a lattice there is no next label.
        """
        blank = self._lattice.blank
        behind = torch.arange(blank.shape[2], device=blank.device) >= self._label_counts[:, None]
        label = F.pad(self._lattice.label, (0, 1)).masked_fill(behind[:, None], math.log(LEAST))
        others = (1 - label.exp() - blank.exp()).clamp(min=LEAST).log()
        nodes = torch.stack((label, blank, others), -1).log_softmax(-1)
        return [of_one.flatten(0, 1) for of_one in self._valid(nodes)]

    def _valid(self, nodes: Tensor) -> Iterator[Tensor]:
        """[frames, labels + 1, ...] of each utterance: its own of `nodes` [batch, frames, labels + 1, ...]."""
        counts = zip(self.frame_counts.tolist(), self._label_counts.tolist(), strict=True)
        return (nodes[i, :n_frames, : n_labels + 1] for i, (n_frames, n_labels) in enumerate(counts))

    @property
    def _label_counts(self) -> Tensor:
        return (self.targets != IGNORE).sum(1)

    @cached_property
    def _lattice(self) -> Lattice:
        labels = self.targets.clamp(min=0)
        counts = self.frame_counts, self._label_counts
        scored = self.encoded, self.predicted, labels
        return score_lattice(self.joint, *scored, *counts, blank=self.blank, most=self.most)

    def _next_labels(self, i: int, reached: Tensor) -> Tensor:
        """[labels + 1, vocabulary]: the posteriors of utterance `i`, whose nodes are `reached` so."""
        n_frames, n_rows = int(self.frame_counts[i]), int(self._label_counts[i]) + 1
        encoded, predicted = self.encoded[i : i + 1, :n_frames], self.predicted[i : i + 1, :n_rows]

        def scores(encoded: Tensor, predicted: Tensor) -> Tensor:
            return self.joint(encoded[:, :, None] + predicted[:, None]).log_softmax(-1)

        parts, start = [], 0
        for block in in_blocks(scores, self.joint, encoded, predicted, most=self.most):
            here = block[0] + reached[start : start + block.shape[1], :n_rows, None]
            start += block.shape[1]
            parts.append(here.logsumexp(0))
        said = torch.stack(parts).logsumexp(0)
        is_blank = torch.arange(said.shape[1], device=said.device) == self.blank
        return torch.where(is_blank, here[-1], said).log_softmax(-1)  # of all blanks, only the last frame's ends it


TAUGHT: dict[str, Callable[[TransducerHead], list[Tensor]]] = {
    "collapsed": TransducerHead.collapsed,
    "whole": TransducerHead.whole,
}
