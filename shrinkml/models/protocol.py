"""The interface of a recogniser: all that the rest of ShrinkML asks of one."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from shrinkml.models.heads import Heads
from shrinkml.speech.spelling import Spelling


@runtime_checkable
class AsrModel(Protocol):
    """A recogniser: an `nn.Module` whose forward pass is `teacher_forced`.

    `features` turns a waveform into the model's input once; everything else takes lists of such tensors, so that a
    search pays for feature extraction once. Inputs of different lengths are batched by the model itself, and the
    result for an utterance does not depend on its batch.
    """

    @property
    def family(self) -> str:
        """Name in `shrinkml.models.families.FAMILIES`; any other where it can be neither written nor exported."""
        ...

    @property
    def longest_s(self) -> float | None:
        """Seconds of the longest utterance that `features` takes; None where any length will do."""
        ...

    def misfit(self, text: str) -> str | None:
        """The reason why `text` cannot be written; None where it can."""
        ...

    def spelling(self, text: str) -> Spelling | None:
        """The tokens that the reference `text` is taught in; None where they are not known."""
        ...

    @property
    def sample_rate_hz(self) -> int:
        """The sample rate that `features` expects."""
        ...

    @property
    def module(self) -> nn.Module:
        """The torch module to calibrate, factorize and train (often the model itself)."""
        ...

    def features(self, waveform: np.ndarray) -> Tensor:
        """[frames, dims] float32 input for a mono float32 `waveform` [samples] in [-1, 1]."""
        ...

    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """The scores of each head for the reference `texts` (differentiable), first those transcripts are read from."""
        ...

    def loss(self, heads: Heads) -> Tensor:
        """The training loss of what `teacher_forced` gave, a scalar: nats per token."""
        ...

    def transcribe(self, features: Sequence[Tensor], *, beam: int = 1) -> list[str]:
        """One transcript per utterance; `beam` 1 is greedy."""
        ...


@runtime_checkable
class TwoPartModel(Protocol):
    """A recogniser whose decoder can be run on states of its encoder that were kept."""

    @property
    def encoder_prefix(self) -> str | None:
        """The beginning of the names of the encoder's matrices; None where the states cannot be kept."""
        ...

    def encode(self, features: Sequence[Tensor]) -> Tensor:
        """The states [batch, positions, hidden] of the encoder; it may leave out silence behind the longest."""
        ...

    def forced_on(self, states: Tensor, texts: Sequence[str]) -> Heads:
        """The same as `teacher_forced` of a recogniser, on the `states` of the utterances."""
        ...


@runtime_checkable
class WindowedModel(Protocol):
    """A recogniser that may hear a window of fixed length, most of it silence behind the words.

    Attributes:
        window_tail_s: seconds of silence behind each utterance, at least, that are heard of it; None for all of it.
    """

    window_tail_s: float | None

    @property
    def windowed(self) -> bool:
        """True where it hears such a window, which can be cut."""
        ...


@runtime_checkable
class SpeechStream(Protocol):
    """One utterance that a recogniser hears piece by piece, in pieces of any length."""

    @property
    def text(self) -> str:
        """The transcript so far; what is written stays."""
        ...

    def accept(self, waveform: np.ndarray) -> str:
        """Hear the next piece, a mono float32 `waveform` [samples] in [-1, 1]; returns `text`."""
        ...

    def finish(self) -> str:
        """Hear the end; returns the final transcript, which may correct the text."""
        ...
