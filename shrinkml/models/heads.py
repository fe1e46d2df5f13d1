"""The scores that a recogniser gives when it is fed reference transcripts: one record per head.

A head knows its training loss, the scores that count, and how a student learns from it. A recogniser's `teacher_forced`
returns its heads by name, first the one that its transcripts are read from; a new kind of head is one more class here.

References:
    Graves et al. 2006, Connectionist Temporal Classification (`CtcHead`).
    Chan et al. 2016, Listen, Attend and Spell, arXiv:1508.01211 (`AttentionHead`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

from shrinkml.models.posteriors import Posteriors, kl_per_step, likeliest

IGNORE = -100  # torch's own `ignore_index`: targets that no loss counts
ATTENTION, CTC = "attention", "ctc"  # names of heads


class Head(Protocol):
    """One head's scores of a batch of utterances."""

    def loss(self) -> Tensor:
        """The head's own training loss, a scalar: nats per token."""
        ...

    def rows(self) -> list[Tensor]:
        """Logits [steps, vocabulary] of the steps that count, of each utterance; empty where no scores are told."""
        ...

    def tokens(self) -> list[list[int]]:
        """The tokens that each utterance should have become; empty where they are not known."""
        ...

    @property
    def n_tokens(self) -> int:
        """Tokens of all utterances together: the unit of losses."""
        ...

    def teacher_targets(self) -> list[Posteriors]:
        """The part of the posteriors of each utterance that is kept to teach the same head of a student."""
        ...

    def distillation_loss(self, targets: Sequence[Posteriors]) -> Tensor:
        """The divergence from a teacher's `teacher_targets` for these utterances, a scalar: nats per step."""
        ...


Heads = Mapping[str, Head]


def transcript_head(heads: Heads) -> Head:
    """The head of `heads` that transcripts are read from: the first."""
    return next(iter(heads.values()))


@dataclass(frozen=True, slots=True)
class AttentionHead:
    """Scores of each next token by a decoder that is fed the tokens before it; implements `Head`.

    Attributes:
        logits: [batch, steps, vocabulary].
        targets: [batch, steps], the tokens that it should have said, the end included; IGNORE beyond the end.
        label_smoothing: share of the loss that asks for all tokens alike.
    """

    logits: Tensor
    targets: Tensor
    label_smoothing: float = 0.0

    def loss(self) -> Tensor:
        """Cross-entropy per token."""
        return F.cross_entropy(
            self.logits.flatten(0, 1),
            self.targets.flatten(),
            ignore_index=IGNORE,
            label_smoothing=self.label_smoothing,
        )

    def rows(self) -> list[Tensor]:
        """Logits of the tokens of each utterance, its end included."""
        return [logits[:n] for logits, n in zip(self.logits, _lengths(self.targets), strict=True)]

    def tokens(self) -> list[list[int]]:
        """The targets of each utterance, its end included."""
        return _tokens(self.targets)

    @property
    def n_tokens(self) -> int:
        """Targets, ends included."""
        return sum(_lengths(self.targets))

    def teacher_targets(self) -> list[Posteriors]:
        """Posteriors of every token."""
        return [likeliest(row) for row in self.rows()]

    def distillation_loss(self, targets: Sequence[Posteriors]) -> Tensor:
        """Mean divergence per token."""
        return kl_per_step(targets, self.rows())


@dataclass(frozen=True, slots=True)
class CtcHead:
    """Scores of the label of every frame; implements `Head`.

    Attributes:
        logits: [batch, frames, vocabulary].
        frame_counts: [batch], valid frames.
        targets: [batch, tokens], the tokens of the transcripts; IGNORE beyond the end.
        blank: the label between labels.
    """

    logits: Tensor
    frame_counts: Tensor
    targets: Tensor
    blank: int

    def loss(self) -> Tensor:
        """The CTC loss per token; an utterance with more tokens than its frames can say counts as 0."""
        return F.ctc_loss(
            self.logits.log_softmax(-1).transpose(0, 1),
            self.targets.clamp(min=0),
            self.frame_counts,
            (self.targets != IGNORE).sum(1),
            blank=self.blank,
            zero_infinity=True,
        )

    def rows(self) -> list[Tensor]:
        """Logits of the valid frames of each utterance."""
        return [logits[:n] for logits, n in zip(self.logits, self.frame_counts.tolist(), strict=True)]

    def tokens(self) -> list[list[int]]:
        """The tokens of each transcript."""
        return _tokens(self.targets)

    @property
    def n_tokens(self) -> int:
        """Tokens of the transcripts, not frames."""
        return sum(_lengths(self.targets))

    def teacher_targets(self) -> list[Posteriors]:
        """Posteriors of every valid frame."""
        return [likeliest(row) for row in self.rows()]

    def distillation_loss(self, targets: Sequence[Posteriors]) -> Tensor:
        """Mean divergence per frame."""
        return kl_per_step(targets, self.rows())


def _lengths(targets: Tensor) -> list[int]:
    lengths: list[int] = (targets != IGNORE).sum(1).tolist()
    return lengths


def _tokens(targets: Tensor) -> list[list[int]]:
    return [row[row != IGNORE].tolist() for row in targets]
