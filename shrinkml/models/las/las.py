"""LAS: listen, attend and spell, an attention encoder-decoder of LSTMs.

References:
    Chan et al. 2016, Listen, Attend and Spell, arXiv:1508.01211 (pyramidal encoder, attention decoder).
    Kim et al. 2017, Joint CTC-Attention, arXiv:1609.06773 (the encoder's CTC loss in training).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from shrinkml.layers.lstm import FormLSTM
from shrinkml.models.heads import Heads
from shrinkml.models.las.las_family import LAS
from shrinkml.models.tokenizer import END, Tokenizer
from shrinkml.models.trainable.attention_ctc import joint_heads, joint_loss, taught
from shrinkml.models.trainable.token_search import State, best_tokens
from shrinkml.models.trainable.trainable_recogniser import TrainableRecogniser
from shrinkml.models.trainable.trainable_shape import TrainableShape
from shrinkml.models.trainable.utterance_features import normalised_log_mel


@dataclass(frozen=True, slots=True)
class LasConfig(TrainableShape):
    """The shape of a LAS.

    Attributes:
        sample_rate_hz: of the audio it hears.
        n_mels: log-mel bins per 10 ms frame.
        stack: frames joined into one encoder step.
        hidden: units of each encoder direction.
        reductions: for each encoder layer, how many steps are joined before it (1 or 2).
        decoder: units of the decoder.
        embedding: size of a token's vector.
        dropout: between layers, in training.
        ctc_weight: share of the CTC loss.
        label_smoothing: of the decoder's cross-entropy.
    """

    sample_rate_hz: int = 16_000
    n_mels: int = 40
    stack: int = 4
    hidden: int = 320
    reductions: tuple[int, ...] = (1, 2)
    decoder: int = 320
    embedding: int = 128
    dropout: float = 0.2
    ctc_weight: float = 0.3
    label_smoothing: float = 0.05

    called = "LAS"

    def __post_init__(self) -> None:
        self._refuse_below(1, ("sample_rate_hz", "n_mels", "stack", "hidden", "decoder", "embedding"))
        self._refuse_reductions(self.reductions, "encoder")


class _Memory(NamedTuple):
    """Memory of the decoder: `states` [B, T, 2H], their `keys` [B, T, A], and `mask` [B, T], true at frames."""

    states: Tensor
    keys: Tensor
    mask: Tensor


class _State(NamedTuple):
    """The decoder between two tokens: LSTM `hidden` and `cell` [B, D], last `context` [B, 2H]."""

    hidden: Tensor
    cell: Tensor
    context: Tensor


class Las(TrainableRecogniser[LasConfig]):
    """A listen-attend-spell recogniser; implements `AsrModel`."""

    family = LAS.name

    def __init__(self, config: LasConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        width = config.n_mels * config.stack
        self.encoder = nn.ModuleList()
        for reduction in config.reductions:
            lstm = nn.LSTM(width * reduction, config.hidden, batch_first=True, bidirectional=True)
            # The same layer; on sequences of unequal length it is up to four times as fast.
            self.encoder.append(FormLSTM.of(lstm))
            width = 2 * config.hidden
        self.embedding = nn.Embedding(len(tokenizer), config.embedding)
        self.cell = nn.LSTMCell(config.embedding + width, config.decoder)
        self.key = nn.Linear(width, config.decoder)
        self.query = nn.Linear(config.decoder, config.decoder, bias=False)
        self.readout = nn.Linear(config.decoder + width, config.decoder)
        self.output = nn.Linear(config.decoder, len(tokenizer))
        self.ctc = nn.Linear(width, len(tokenizer))
        self.dropout = nn.Dropout(config.dropout)

    def features(self, waveform: np.ndarray) -> Tensor:
        """[frames, n_mels] log-mel of `waveform`, zero mean and unit variance per bin over the utterance."""
        return normalised_log_mel(waveform, self.sample_rate_hz, n_mels=self.config.n_mels)

    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """Scores for the reference `texts`: of the decoder [B, tokens + 1, V] and of the encoder's CTC [B, T, V]."""
        states, counts = self._encode(features)
        memory = self._remember(states, counts)
        fed, targets = taught(self.tokenizer, texts, states.device)
        state = self._start(memory)
        heard = []
        for embedded in self.dropout(self.embedding(fed)).unbind(1):
            state = self._step(embedded, state, memory)
            heard.append(torch.cat((state.hidden, state.context), -1))
        said, labels = self._read(torch.stack(heard, 1)), self.ctc(states)
        return joint_heads(said, labels, counts, targets, label_smoothing=self.config.label_smoothing)

    def loss(self, heads: Heads) -> Tensor:
        """Label-smoothed cross-entropy of the decoder, mixed with the encoder's CTC loss, per token."""
        return joint_loss(heads, self.config.ctc_weight)

    @torch.inference_mode()
    def transcribe(self, features: Sequence[Tensor], *, beam: int = 1) -> list[str]:
        """One transcript per utterance, decoded as one batch; `beam` 1 is greedy."""
        states, counts = self._encode(features)
        memory = self._remember(states, counts)
        most = memory.mask.sum(1) + 1  # a transcript needs no more tokens than there are steps (CTC's bound), and END
        if beam > 1:
            memory = _Memory(*(part.repeat_interleave(beam, 0) for part in memory))

        def step(token: Tensor, state: State) -> tuple[Tensor, State]:
            return self._next(token, _State(*state), memory)

        found = best_tokens(step, self._start(memory), most, end=END, beam=beam)
        return [self.tokenizer.decode(tokens) for tokens in found]

    def _encode(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Encoder states [B, T, 2H], zero beyond each utterance's end, and valid steps [B]."""
        device = self.output.weight.device
        steps = pad_sequence([_join(utterance, self.config.stack) for utterance in features], batch_first=True).to(
            device
        )
        counts = torch.tensor([math.ceil(len(utterance) / self.config.stack) for utterance in features])
        for reduction, lstm in zip(self.config.reductions, self.encoder, strict=True):
            if reduction > 1:
                steps = _join_batch(steps, reduction)
                counts = (counts + reduction - 1) // reduction
            steps = self.dropout(_run(lstm, steps, counts))
        return steps, counts

    def _remember(self, states: Tensor, counts: Tensor) -> _Memory:
        mask = torch.arange(states.shape[1]) < counts[:, None]
        return _Memory(states, self.key(states), mask.to(states.device))

    def _start(self, memory: _Memory) -> _State:
        batch, _, width = memory.states.shape
        zeros = memory.states.new_zeros
        return _State(zeros(batch, self.config.decoder), zeros(batch, self.config.decoder), zeros(batch, width))

    def _step(self, embedded: Tensor, state: _State, memory: _Memory) -> _State:
        """The state behind the token `embedded` [B, E]."""
        hidden, cell = self.cell(torch.cat((embedded, state.context), -1), (state.hidden, state.cell))
        scores = torch.bmm(memory.keys, self.query(hidden).unsqueeze(-1)).squeeze(-1) / math.sqrt(self.config.decoder)
        weights = scores.masked_fill(~memory.mask, -math.inf).softmax(-1)
        return _State(hidden, cell, torch.bmm(weights.unsqueeze(1), memory.states).squeeze(1))

    def _read(self, heard: Tensor) -> Tensor:
        """Logits [..., V] of the next token from hidden state and context, `heard` [..., D + 2H]."""
        logits: Tensor = self.output(self.readout(self.dropout(heard)).tanh())
        return logits

    def _next(self, token: Tensor, state: _State, memory: _Memory) -> tuple[Tensor, _State]:
        """Logits [B, V] of what follows `token` [B], and the state behind it."""
        state = self._step(self.embedding(token), state, memory)
        return self._read(torch.cat((state.hidden, state.context), -1)), state


def _join(steps: Tensor, n: int) -> Tensor:
    """[ceil(T / n), n * dims]: every `n` steps of `steps` [T, dims] side by side, the last filled with zeros."""
    return _join_batch(steps.unsqueeze(0), n).squeeze(0)


def _join_batch(steps: Tensor, n: int) -> Tensor:
    batch, length, dims = steps.shape
    steps = F.pad(steps, (0, 0, 0, -length % n))
    return steps.reshape(batch, -1, n * dims)


def _run(lstm: nn.Module, steps: Tensor, counts: Tensor) -> Tensor:
    """Outputs [B, T, 2H] of `lstm` on `steps` [B, T, dims], zero beyond `counts` [B]."""
    if bool((counts == steps.shape[1]).all()):
        outputs: Tensor = lstm(steps)[0]
        return outputs
    packed = pack_padded_sequence(steps, counts, batch_first=True, enforce_sorted=False)
    padded, _ = pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=steps.shape[1])
    return padded
