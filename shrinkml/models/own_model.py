"""A module of the user's own as a recogniser: its loss, its scores and its transcripts are given as functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from shrinkml.errors import ConfigError
from shrinkml.models.heads import Heads
from shrinkml.models.posteriors import Posteriors, kl_per_step, likeliest

Loss = Callable[[nn.Module, Sequence[Tensor], Sequence[str]], Tensor]
Scores = Callable[[nn.Module, Sequence[Tensor], Sequence[str]], tuple[Tensor, Tensor]]
Transcribe = Callable[[nn.Module, Sequence[Tensor]], list[str]]

OWN = "own"  # name of the head, and in place of a family's


@dataclass(frozen=True, slots=True)
class OwnHead:
    """The loss on a batch, and the scores if the module tells them; implements `Head`.

    Attributes:
        value: the training loss, a scalar.
        logits: [batch, steps, vocabulary]; None where no scores are told.
        counts: [batch], valid steps of `logits`.
    """

    value: Tensor
    logits: Tensor | None = None
    counts: Tensor | None = None

    def loss(self) -> Tensor:
        """The loss that was given."""
        return self.value

    def rows(self) -> list[Tensor]:
        """Logits of the valid steps of each utterance; empty where no scores are told."""
        if self.logits is None or self.counts is None:
            return []
        return [logits[:n] for logits, n in zip(self.logits, map(int, self.counts), strict=True)]

    def tokens(self) -> list[list[int]]:
        """Empty: how a module of one's own writes texts is not known."""
        return []

    @property
    def n_tokens(self) -> int:
        """Valid steps: tokens are not known."""
        return sum(len(row) for row in self.rows())

    def teacher_targets(self) -> list[Posteriors]:
        """Posteriors of every valid step.

        Raises:
            ConfigError: no scores are told.
        """
        return [likeliest(row) for row in self._told()]

    def distillation_loss(self, targets: Sequence[Posteriors]) -> Tensor:
        """Mean divergence per step.

        Raises:
            ConfigError: no scores are told.
        """
        return kl_per_step(targets, self._told())

    def _told(self) -> list[Tensor]:
        if self.logits is None:
            raise ConfigError("a module without `scores` can neither teach nor learn posteriors: give them")
        return self.rows()


class OwnModel:
    """A module with its loss and its way to transcribe; implements `AsrModel` but for the extraction of features."""

    def __init__(self, module: nn.Module, loss: Loss, transcribe: Transcribe, scores: Scores | None = None) -> None:
        """`module` as a recogniser.

        Args:
            module: any.
            loss: module, features and texts of a batch -> the training loss, a scalar.
            transcribe: module and features of a batch -> a transcript of each; called without gradients.
            scores: module, features and texts of a batch -> logits [batch, steps, vocabulary] and valid steps [batch].
        """
        self._module = module
        self._loss = loss
        self._transcribe = transcribe
        self._scores = scores

    @property
    def module(self) -> nn.Module:
        """The module itself."""
        return self._module

    @property
    def family(self) -> str:
        """The user's own: of no family that could be written or exported."""
        return OWN

    @property
    def longest_s(self) -> None:
        """None: how long utterances may be is for the user to know."""

    def misfit(self, text: str) -> None:
        """None: which texts can be written is for the user to know."""

    def spelling(self, text: str) -> None:
        """None: how texts are written is for the user to know."""

    @property
    def sample_rate_hz(self) -> int:
        """Not known.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("a module of one's own is given features, not waveforms: extract them beforehand")

    def features(self, waveform: np.ndarray) -> Tensor:
        """Not known.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("a module of one's own is given features, not waveforms: extract them beforehand")

    def with_module(self, module: nn.Module) -> "OwnModel":
        """The same ways with another module."""
        return OwnModel(module, self._loss, self._transcribe, self._scores)

    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """The loss on a batch, and its scores if they are told."""
        value = self._loss(self._module, features, texts)
        told = () if self._scores is None else self._scores(self._module, features, texts)
        return {OWN: OwnHead(value, *told)}

    def loss(self, heads: Heads) -> Tensor:
        """The loss that `teacher_forced` found."""
        return heads[OWN].loss()

    @torch.inference_mode()
    def transcribe(self, features: Sequence[Tensor], *, beam: int = 1) -> list[str]:
        """The transcripts that the given function makes.

        Raises:
            ConfigError: a beam; how to decode is for the given function to say.
        """
        if beam != 1:
            raise ConfigError(f"beam {beam}; how to decode is for `transcribe` to say, allowed: 1")
        return self._transcribe(self._module, features)
