"""Recognisers of transformers that label every frame and collapse the labels (CTC).

References:
    Graves et al. 2006, Connectionist Temporal Classification.
"""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from shrinkml.errors import ConfigError
from shrinkml.models.heads import CTC, IGNORE, CtcHead, Heads
from shrinkml.models.huggingface.base_model import HuggingFaceModel
from shrinkml.models.huggingface.huggingface_families import HUGGINGFACE_CTC
from shrinkml.models.huggingface.speech_input import Inputs, alike

# Model types whose frames do not depend on the padding behind them, and their method that counts output frames.
# Utterances of unequal length are run by themselves in all others.
PADDABLE = {
    "wav2vec2": "_get_feat_extract_output_lengths",
    "hubert": "_get_feat_extract_output_lengths",
    "wavlm": "_get_feat_extract_output_lengths",
    "parakeet_ctc": "_get_subsampling_output_length",
}


class HuggingFaceCtc(HuggingFaceModel):
    """A network that `AutoModelForCTC` opens, with feature extractor and tokenizer; implements `AsrModel`."""

    family = HUGGINGFACE_CTC.name
    auto_class = "AutoModelForCTC"

    def forward(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """The same as `teacher_forced`."""
        return self.teacher_forced(features, texts)

    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """Scores of every frame [B, T, V], and the tokens of `texts`; there is no decoder to feed."""
        frames = self._frames(features)
        tokens = [torch.tensor(self.text.encode(text), dtype=torch.long) for text in texts]
        padded = pad_sequence(frames, batch_first=True)
        head = CtcHead(
            logits=padded,
            frame_counts=torch.tensor([len(one) for one in frames]),
            targets=pad_sequence(tokens, batch_first=True, padding_value=IGNORE).to(padded.device),
            blank=self.blank,
        )
        return {CTC: head}

    def loss(self, heads: Heads) -> Tensor:
        """The CTC loss, per token."""
        return heads[CTC].loss()

    @torch.inference_mode()
    def transcribe(self, features: Sequence[Tensor], *, beam: int = 1) -> list[str]:
        """The likeliest label of every frame, collapsed.

        Raises:
            ConfigError: a beam; without a language model, the best path is all there is.
        """
        if beam != 1:
            raise ConfigError(f"beam {beam}; a CTC model without a decoder is read greedily, allowed: 1")
        labels = (frames.argmax(-1).tolist() for frames in self._frames(features))
        return [self.text.decode([label for label, _ in groupby(path) if label != self.blank]) for path in labels]

    @property
    def blank(self) -> int:
        """The label between labels."""
        return int(self.network.config.pad_token_id)

    def _frames(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Scores [frames, V] of each utterance."""
        found: dict[int, Tensor] = {}
        for group in [list(range(len(features)))] if self.pads else alike(map(len, features)):
            inputs = self.speech.batch([features[i] for i in group], self.network.device)
            logits = self._run(inputs)
            counts = self._counts(inputs, logits.shape[1])
            found.update((i, logits[row, : counts[row]]) for row, i in enumerate(group))
        return [found[i] for i in range(len(features))]

    def _run(self, inputs: Inputs) -> Tensor:
        masks = {} if inputs.mask is None else {"attention_mask": inputs.mask}
        logits: Tensor = self.network(**{self.speech.main_input: inputs.values}, **masks).logits
        return logits

    @property
    def pads(self) -> bool:
        """True where utterances of unequal length can be run together without changing each other."""
        config = self.network.config
        # Group norm takes its statistics over time: the padding would be part of them.
        return config.model_type in PADDABLE and getattr(config, "feat_extract_norm", "layer") == "layer"

    def _counts(self, inputs: Inputs, n_frames: int) -> list[int]:
        if inputs.mask is None:
            return [n_frames] * len(inputs.values)
        counts: list[int] = self.output_lengths(inputs.mask.sum(1)).tolist()
        return counts

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Frames of scores for inputs of those `lengths` [batch]; where `pads` alone."""
        found: Tensor = getattr(self.network, PADDABLE[self.network.config.model_type])(lengths)
        return found
