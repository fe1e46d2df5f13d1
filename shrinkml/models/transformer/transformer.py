"""A Transformer: an attention encoder-decoder whose encoder also learns by CTC.

References:
    Dong et al. 2018, Speech-Transformer, ICASSP.
    Karita et al. 2019, A Comparative Study on Transformer vs RNN in Speech Applications, arXiv:1909.06317 (with CTC).
    Gao et al. 2020, SAN-M, arXiv:2006.01713 (the memory block of encoder layers).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from shrinkml.models.heads import Heads
from shrinkml.models.tokenizer import END, Tokenizer
from shrinkml.models.trainable.attention_ctc import joint_heads, joint_loss, taught
from shrinkml.models.trainable.token_search import State, best_tokens
from shrinkml.models.trainable.trainable_recogniser import TrainableRecogniser
from shrinkml.models.trainable.utterance_features import normalised_log_mel
from shrinkml.models.transformer.transformer_decoder import TransformerDecoder
from shrinkml.models.transformer.transformer_encoder import Heard, TransformerEncoder
from shrinkml.models.transformer.transformer_family import TRANSFORMER
from shrinkml.models.transformer.transformer_shape import TransformerConfig


class Transformer(TrainableRecogniser[TransformerConfig]):
    """A Transformer recogniser; implements `AsrModel`."""

    family = TRANSFORMER.name

    def __init__(self, config: TransformerConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.encoder = TransformerEncoder(config)
        self.decoder = TransformerDecoder(config, len(tokenizer))
        self.output = nn.Linear(config.hidden, len(tokenizer))
        self.ctc = nn.Linear(config.hidden, len(tokenizer))

    def features(self, waveform: np.ndarray) -> Tensor:
        """[frames, n_mels] log-mel of `waveform`, zero mean and unit variance per bin over the utterance."""
        return normalised_log_mel(waveform, self.sample_rate_hz, n_mels=self.config.n_mels)

    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """Scores for the reference `texts`: of the decoder [B, tokens + 1, V] and of the encoder's CTC [B, T, V]."""
        heard = self.encode(features)
        fed, targets = taught(self.tokenizer, texts, heard.states.device)
        said, _ = self.decoder(fed, (), self.decoder.attend(heard))
        logits, counts = self.output(said), heard.inside.sum(1)
        return joint_heads(logits, self.ctc(heard.states), counts, targets, label_smoothing=self.config.label_smoothing)

    def loss(self, heads: Heads) -> Tensor:
        """Label-smoothed cross-entropy of the decoder, mixed with the encoder's CTC loss, per token."""
        return joint_loss(heads, self.config.ctc_weight)

    @torch.inference_mode()
    def transcribe(self, features: Sequence[Tensor], *, beam: int = 1) -> list[str]:
        """One transcript per utterance, decoded as one batch; `beam` 1 is greedy."""
        heard = self.encode(features)
        most = heard.inside.sum(1) + 1  # no more tokens than steps (CTC's bound), and END
        known = self.decoder.attend(heard if beam == 1 else heard.repeated(beam))

        def step(token: Tensor, past: State) -> tuple[Tensor, State]:
            said, past = self.decoder(token[:, None], past, known)
            return self.output(said[:, 0]), past

        found = best_tokens(step, (), most, end=END, beam=beam)
        return [self.tokenizer.decode(tokens) for tokens in found]

    def encode(self, features: Sequence[Tensor]) -> Heard:
        """The encoder's states of utterances [frames, n_mels]."""
        device = self.output.bias.device
        counts = torch.tensor([len(utterance) for utterance in features], device=device)
        heard: Heard = self.encoder(pad_sequence(list(features), batch_first=True).to(device), counts)
        return heard
