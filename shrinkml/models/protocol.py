"""What every recogniser offers to the rest of ShrinkML."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

IGNORE = -100  # torch's own `ignore_index`: targets that no loss counts


@dataclass(frozen=True, slots=True)
class TeacherForced:
    """What a model says when it is fed the reference transcript.

    Attributes:
        logits: [batch, steps, vocabulary], the decoder's scores of each next token; no steps without a decoder.
        targets: [batch, steps], the tokens that it should have said; IGNORE beyond the end. Without a decoder, the
            tokens of the transcript.
        ctc_logits: [batch, frames, vocabulary], the encoder's own scores; None without a CTC head.
        frame_counts: [batch], valid frames of `ctc_logits`.
    """

    logits: Tensor
    targets: Tensor
    ctc_logits: Tensor | None = None
    frame_counts: Tensor | None = None


@runtime_checkable
class AsrModel(Protocol):
    """A recogniser: an `nn.Module` whose forward pass is `teacher_forced`.

    `features` turns a waveform into the model's input once; everything else takes lists of such tensors, so that a
    search pays for feature extraction once. Inputs of different lengths are batched by the model itself, and the
    result for an utterance does not depend on its batch.
    """

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

    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> TeacherForced:
        """The model's scores for the reference `texts` (differentiable)."""
        ...

    def loss(self, output: TeacherForced) -> Tensor:
        """The training loss of `output`, a scalar: nats per token."""
        ...

    def transcribe(self, features: Sequence[Tensor], *, beam: int = 1) -> list[str]:
        """One transcript per utterance; `beam` 1 is greedy."""
        ...
