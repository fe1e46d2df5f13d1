"""A module of the user's own as a recogniser: what cannot be known of it is given as functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from shrinkml.errors import ConfigError
from shrinkml.models.protocol import TeacherForced

Loss = Callable[[nn.Module, Sequence[Tensor], Sequence[str]], Tensor]
Scores = Callable[[nn.Module, Sequence[Tensor], Sequence[str]], tuple[Tensor, Tensor]]
Transcribe = Callable[[nn.Module, Sequence[Tensor]], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost(TeacherForced):
    """The loss on a batch, and its scores as those of a CTC head, if the module tells them: one row per step.

    Attributes:
        value: the training loss, a scalar.
    """

    value: Tensor


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

    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> Lost:
        """The loss on a batch, and its scores if they are told."""
        value = self._loss(self._module, features, texts)
        logits, counts = (None, None) if self._scores is None else self._scores(self._module, features, texts)
        none = value.new_zeros(len(texts), 0, 1)
        targets = none[..., 0].long()
        return Lost(logits=none, targets=targets, ctc_logits=logits, frame_counts=counts, value=value)

    def loss(self, output: TeacherForced) -> Tensor:
        """The loss that `teacher_forced` found."""
        assert isinstance(output, Lost), "not the output of a module of one's own"
        return output.value

    @torch.inference_mode()
    def transcribe(self, features: Sequence[Tensor], *, beam: int = 1) -> list[str]:
        """What the module hears.

        Raises:
            ConfigError: a beam; how to decode is for the given function to say.
        """
        if beam != 1:
            raise ConfigError(f"beam {beam}; how to decode is for `transcribe` to say, allowed: 1")
        return self._transcribe(self._module, features)
