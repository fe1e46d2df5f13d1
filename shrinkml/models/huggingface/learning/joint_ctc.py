"""Joint training of a Whisper that is taught from nothing: a CTC head on its encoder for as long as it learns.

A decoder alone learns the grammar of its transcripts first, and is then in no need to listen.

References:
    Kim et al. 2017, Joint CTC-Attention based End-to-End Speech Recognition using Multi-task Learning,
    arXiv:1609.06773.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from shrinkml.models.heads import ATTENTION, CTC, IGNORE, CtcHead, Heads
from shrinkml.models.huggingface.decoding.short_window import frames_per_position
from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq
from shrinkml.speech.spelling import Spelling

CTC_WEIGHT = 0.3  # share of the CTC loss: Kim et al. found 0.2 to 0.5 to serve


class JointCtc(nn.Module):
    """`learner` with a CTC head on its encoder; implements `AsrModel`. The head is no part of `learner`."""

    def __init__(self, learner: HuggingFaceSeq2Seq) -> None:
        super().__init__()
        self.learner = learner
        self.ctc = nn.Linear(learner.network.config.hidden_size, learner.network.config.vocab_size)

    @property
    def sample_rate_hz(self) -> int:
        """That of the learner."""
        return self.learner.sample_rate_hz

    @property
    def family(self) -> str:
        """That of the learner."""
        return self.learner.family

    @property
    def longest_s(self) -> float | None:
        """That of the learner."""
        return self.learner.longest_s

    def misfit(self, text: str) -> str | None:
        """That of the learner."""
        return self.learner.misfit(text)

    def spelling(self, text: str) -> Spelling:
        """That of the learner."""
        return self.learner.spelling(text)

    @property
    def module(self) -> nn.Module:
        """Learner and head."""
        return self

    def features(self, waveform: np.ndarray) -> Tensor:
        """Those of the learner."""
        return self.learner.features(waveform)

    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """The learner's scores, and those of the head [B, positions, V] on all that the encoder hears."""
        heard: list[Tensor] = []
        encoder = self.learner.network.get_encoder()
        per_position = frames_per_position(encoder)
        counts = torch.tensor([-(-len(one) // per_position) for one in features])
        hook = encoder.register_forward_hook(lambda module, inputs, output: heard.append(output[0]))
        try:
            heads = self.learner.teacher_forced(features, texts)
        finally:
            hook.remove()
        (states,) = heard
        words = self._words(heads[ATTENTION].tokens())
        blank = self.learner.end  # no word's token
        return {**heads, CTC: CtcHead(self.ctc(states).float(), counts, words.to(states.device), blank)}

    def loss(self, heads: Heads) -> Tensor:
        """The learner's loss, mixed with the CTC loss of the words, per token."""
        return (1 - CTC_WEIGHT) * self.learner.loss(heads) + CTC_WEIGHT * heads[CTC].loss()

    def transcribe(self, features: Sequence[Tensor], *, beam: int = 1) -> list[str]:
        """The learner's transcripts."""
        return self.learner.transcribe(features, beam=beam)

    def _words(self, targets: Sequence[Sequence[int]]) -> Tensor:
        """[batch, words]: `targets` without the tokens that stand for no text; IGNORE beyond the end."""
        special = self.learner.text.special_ids
        rows = [torch.tensor([token for token in row if token not in special], dtype=torch.long) for row in targets]
        return pad_sequence(rows, batch_first=True, padding_value=IGNORE)
