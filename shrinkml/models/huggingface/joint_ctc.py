"""What a Whisper that is taught from nothing needs for as long as it learns: a CTC head on its encoder.

A decoder alone learns the grammar of its transcripts first, and is then in no need to listen.

References:
    Kim et al. 2017, Joint CTC-Attention based End-to-End Speech Recognition using Multi-task Learning,
    arXiv:1609.06773.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from shrinkml.models.ctc_loss import ctc_loss
from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq
from shrinkml.models.huggingface.short_window import frames_per_position
from shrinkml.models.protocol import IGNORE, TeacherForced

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
    def module(self) -> nn.Module:
        """Learner and head."""
        return self

    def features(self, waveform: np.ndarray) -> Tensor:
        """Those of the learner."""
        return self.learner.features(waveform)

    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> TeacherForced:
        """The learner's scores, and those of the head [B, positions, V] on all that the encoder hears."""
        heard: list[Tensor] = []
        encoder = self.learner.network.get_encoder()
        per_position = frames_per_position(encoder)
        counts = torch.tensor([-(-len(one) // per_position) for one in features])
        hook = encoder.register_forward_hook(lambda module, inputs, output: heard.append(output[0]))
        try:
            output = self.learner.teacher_forced(features, texts)
        finally:
            hook.remove()
        (states,) = heard
        return replace(output, ctc_logits=self.ctc(states), frame_counts=counts)

    def loss(self, output: TeacherForced) -> Tensor:
        """The learner's loss, mixed with the CTC loss of the words, per token."""
        assert output.ctc_logits is not None, "not the output of this model"
        assert output.frame_counts is not None, "not the output of this model"
        no_words = torch.tensor([IGNORE, *self.learner.text.special_ids], device=output.targets.device)
        words = [row[~torch.isin(row, no_words)] for row in output.targets]
        ctc = ctc_loss(
            output.ctc_logits.float(),
            output.frame_counts,
            pad_sequence(words, batch_first=True),
            torch.tensor([len(one) for one in words]),
            blank=self.learner.end,  # no word's token
        )
        return (1 - CTC_WEIGHT) * self.learner.loss(output) + CTC_WEIGHT * ctc

    def transcribe(self, features: Sequence[Tensor], *, beam: int = 1) -> list[str]:
        """What the learner writes."""
        return self.learner.transcribe(features, beam=beam)
