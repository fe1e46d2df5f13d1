"""The common part of all recognisers of transformers: a network, its feature extractor and its tokenizer."""

from typing import Any, Self

import numpy as np
from torch import Tensor, nn

from shrinkml.models.huggingface.speech_input import Speech
from shrinkml.models.huggingface.text_tokens import Text
from shrinkml.speech.spelling import Spelling


class HuggingFaceModel(nn.Module):
    """A network with its feature extractor and tokenizer: the part of `AsrModel` that needs no scores.

    Attributes:
        n_outputs: tokens that the network gives scores of; its tokenizer may know more, or fewer.
    """

    def __init__(self, network: Any, speech: Speech, text: Text) -> None:
        super().__init__()
        self.network: Any = network
        self.speech = speech
        self.text = text
        self.n_outputs: int = network.config.get_text_config(decoder=True).vocab_size
        self._attention = network.config._attn_implementation

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`. While it learns on a CPU, attention is written out: the fused gradient is slow."""
        if mode != self.training:
            written_out = mode and self.network.device.type == "cpu"
            self.network.set_attn_implementation("eager" if written_out else self._attention)
        return super().train(mode)

    @property
    def sample_rate_hz(self) -> int:
        """The sample rate that `features` expects."""
        return self.speech.sample_rate_hz

    @property
    def longest_s(self) -> float | None:
        """Seconds of the longest utterance that `features` takes; None where any length will do."""
        return self.speech.longest_s

    def misfit(self, text: str) -> str | None:
        """The reason why `text` cannot be written; None where it can."""
        above = sorted({token for token in self.text.encode(text) if token >= self.n_outputs})
        if not above:
            return None
        named = ", ".join(map(repr, self.text.tokenizer.convert_ids_to_tokens(above)))
        return f"a transcript with {named}, for which this model has no output: leave the utterance out or rewrite it"

    def spelling(self, text: str) -> Spelling:
        """The tokens of `text` alone."""
        return self.text.spelling(text)

    @property
    def module(self) -> nn.Module:
        """The model itself."""
        return self

    def features(self, waveform: np.ndarray) -> Tensor:
        """[frames, dims] of `waveform`; [samples, 1] where the network takes samples."""
        return self.speech.features(waveform)
