"""The encoders of a transducer: a causal one, which streams, and above it one that looks ahead.

References:
    Narayanan et al. 2021, Cascaded encoders for unifying streaming and non-streaming ASR, arXiv:2010.14606.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from shrinkml.layers.lstm import FormLSTM

State = tuple[tuple[Tensor, Tensor], ...]  # h and c [1, batch, units] of each layer


class Encoded(NamedTuple):
    """States [batch, steps, units] of an encoder, and valid steps [batch]."""

    states: Tensor
    counts: Tensor


class CausalEncoder(nn.Module):
    """LSTMs over joined frames; no state depends on a later frame than the last of its own step.

    Args:
        n_mels: numbers of each frame.
        stack: frames joined before the first layer.
        hidden: units of each layer.
        reductions: for each layer, how many steps are joined before it (1 or 2).
        dropout: between layers, in training.

    Attributes:
        frames_per_step: of a state.
    """

    def __init__(self, n_mels: int, stack: int, hidden: int, reductions: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.stack = stack
        self.reductions = tuple(reductions)
        self.frames_per_step = stack * math.prod(reductions)
        width = n_mels * stack
        self.layers = nn.ModuleList()
        for reduction in reductions:
            # The same layer; on sequences of unequal length it is up to four times as fast.
            self.layers.append(FormLSTM.of(nn.LSTM(width * reduction, hidden, batch_first=True)))
            width = hidden
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Sequence[Tensor]) -> Encoded:
        """The states of utterances [frames, n_mels], each filled up with zeros to whole steps."""
        filled = [F.pad(one, (0, 0, 0, -len(one) % self.frames_per_step)) for one in features]
        counts = torch.tensor([len(one) // self.stack for one in filled])
        steps = _joined(pad_sequence(filled, batch_first=True).to(self._device), self.stack)
        for reduction, lstm in zip(self.reductions, self.layers, strict=True):
            steps, counts = _joined(steps, reduction), counts // reduction
            steps = self.dropout(run_over(lstm, steps, counts))
        return Encoded(steps, counts)

    def go_on(self, frames: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The states [1, steps, hidden] of `frames` [steps * frames_per_step, n_mels] that follow on `state`."""
        steps, after = _joined(frames.unsqueeze(0).to(self._device), self.stack), []
        for i, (reduction, lstm) in enumerate(zip(self.reductions, self.layers, strict=True)):
            steps, last = lstm(_joined(steps, reduction), None if state is None else state[i])
            after.append(last)
        return steps, tuple(after)

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device


class LookAheadEncoder(nn.Module):
    """A bidirectional LSTM over the states of a causal encoder, as wide as they are.

    Args:
        width: of the states.
        units: of each direction.
        dropout: behind it, in training.
    """

    def __init__(self, width: int, units: int, dropout: float) -> None:
        super().__init__()
        self.lstm = FormLSTM.of(nn.LSTM(width, units, batch_first=True, bidirectional=True))
        self.narrow = nn.Linear(2 * units, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, heard: Encoded) -> Encoded:
        """States of the same steps that know all of the utterance."""
        steps = run_over(self.lstm, heard.states, heard.counts)
        return Encoded(self.dropout(heard.states + self.narrow(steps)), heard.counts)


def run_over(lstm: nn.Module, steps: Tensor, counts: Tensor) -> Tensor:
    """Outputs [batch, steps, width] of `lstm` on `steps` [batch, steps, dims], zero beyond `counts` [batch]."""
    if bool((counts == steps.shape[1]).all()):
        outputs: Tensor = lstm(steps)[0]
        return outputs
    packed = pack_padded_sequence(steps, counts, batch_first=True, enforce_sorted=False)
    padded, _ = pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=steps.shape[1])
    return padded


def _joined(steps: Tensor, n: int) -> Tensor:
    """[batch, steps / n, n * dims]: every `n` of `steps` [batch, steps, dims] side by side."""
    return steps if n == 1 else steps.reshape(len(steps), -1, n * steps.shape[2])
