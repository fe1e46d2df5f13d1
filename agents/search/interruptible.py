"""A recogniser that can be called off: long evaluations end within one batch of a stop."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from shrinkml.errors import StoppedError
from shrinkml.events import ShouldStop
from shrinkml.models.heads import Heads
from shrinkml.models.protocol import AsrModel, TwoPartModel
from shrinkml.speech.spelling import Spelling


class Interruptible:
    """An `AsrModel` that does what `model` does, and raises StoppedError once `should_stop` says so."""

    def __init__(self, model: AsrModel, should_stop: ShouldStop) -> None:
        self._model = model
        self._should_stop = should_stop

    @property
    def family(self) -> str:
        """The model's family."""
        return self._model.family

    @property
    def longest_s(self) -> float | None:
        """Seconds of the longest utterance that the model takes."""
        return self._model.longest_s

    def misfit(self, text: str) -> str | None:
        """The reason why the model cannot write `text`; None where it can."""
        return self._model.misfit(text)

    def spelling(self, text: str) -> Spelling | None:
        """The model's tokens of `text`."""
        return self._model.spelling(text)

    @property
    def sample_rate_hz(self) -> int:
        """The sample rate that `features` expects."""
        return self._model.sample_rate_hz

    @property
    def module(self) -> nn.Module:
        """The torch module of the model."""
        return self._model.module

    def features(self, waveform: np.ndarray) -> Tensor:
        """The model's features of `waveform`."""
        self._check()
        return self._model.features(waveform)

    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """The model's scores for the reference `texts`."""
        self._check()
        return self._model.teacher_forced(features, texts)

    def loss(self, heads: Heads) -> Tensor:
        """The model's training loss."""
        return self._model.loss(heads)

    def transcribe(self, features: Sequence[Tensor], *, beam: int = 1) -> list[str]:
        """The model's transcripts."""
        self._check()
        return self._model.transcribe(features, beam=beam)

    @property
    def in_parts(self) -> TwoPartModel | None:
        """The model, if its encoder's states can be kept."""
        self._check()
        parts = self._model if isinstance(self._model, TwoPartModel) else None
        return None if parts is None or parts.encoder_prefix is None else parts

    def _check(self) -> None:
        if self._should_stop():
            raise StoppedError("stopped on request")
