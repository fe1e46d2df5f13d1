"""Recognisers of transformers whose decoder writes the transcript token by token."""

import math
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import repeat
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from shrinkml.errors import CheckpointError, ConfigError
from shrinkml.models.heads import ATTENTION, IGNORE, AttentionHead, Heads
from shrinkml.models.huggingface.base_model import HuggingFaceModel
from shrinkml.models.huggingface.decoding.short_window import (
    frames_per_position,
    learning_window,
    look_window,
    short_window,
    window_positions,
)
from shrinkml.models.huggingface.decoding.silence_watch import SilenceWatch
from shrinkml.models.huggingface.huggingface_families import HUGGINGFACE_SEQ2SEQ
from shrinkml.models.huggingface.prompt import read_prompt
from shrinkml.models.huggingface.quiet import quietly
from shrinkml.models.huggingface.speech_input import Speech, alike
from shrinkml.models.huggingface.text_tokens import Text
from shrinkml.speech.loops import before_loop, without_loop

# A transcript never needs more, even in characters; a network that was cut too hard would babble on to its limit.
TOKENS_PER_S = 25.0
LEAST_TOKENS = 16

WINDOWED = "whisper"  # the model type whose encoder can hear a part of its window
PROMPT_LEFT_OUT = {"whisper"}  # model types whose generation gives back what it wrote, without the start


class HuggingFaceSeq2Seq(HuggingFaceModel):
    """A network that `AutoModelForSpeechSeq2Seq` opens, with feature extractor and tokenizer; implements `AsrModel`.

    Attributes:
        window_tail_s: seconds of silence behind each utterance, at least, that are heard of a window; None for all of
            it. A Whisper alone can be told so.
    """

    family = HUGGINGFACE_SEQ2SEQ.name
    auto_class = "AutoModelForSpeechSeq2Seq"

    def __init__(self, network: nn.Module, speech: Speech, text: Text, *, window_tail_s: float | None = None) -> None:
        """A recogniser whose decoder is given the tokens of `prompt` first, and writes `end` last."""
        super().__init__(network, speech, text)
        self.window_tail_s = window_tail_s
        self.prompt = read_prompt(network, _token(network, "decoder_start_token_id", "bos_token_id"))
        self.end = _token(network, "eos_token_id")
        self._padding = _token(network, "pad_token_id", "eos_token_id")  # behind the end, where no score is looked at

    def forward(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """The same as `teacher_forced`."""
        return self.teacher_forced(features, texts)

    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """Decoder logits [B, tokens + 1, V] for the reference `texts`, prompt and end included.

        Raises:
            ConfigError: generation looks for the language of each utterance.
        """
        targets, previous = self._forced(texts)
        logits: dict[int, Tensor] = {}
        for group in self._groups(features):
            some = [features[i] for i in group]
            inputs = self.inputs(some)
            with self._window(some):
                output = self.network(**inputs, decoder_input_ids=previous[group], use_cache=False)
            logits.update(zip(group, output.logits, strict=True))
        return {ATTENTION: AttentionHead(torch.stack([logits[i] for i in range(len(features))]), targets)}

    @property
    def windowed(self) -> bool:
        """True for a Whisper, which hears a window of fixed length that may be cut behind the words."""
        return bool(self.network.config.model_type == WINDOWED)

    @property
    def encoder_prefix(self) -> str | None:
        """The beginning of the names of the encoder's matrices; None for other encoders than Whisper's."""
        if not self.windowed:
            return None
        encoder = self.network.get_encoder()
        return next(f"{name}." for name, module in self.named_modules() if module is encoder)

    def encode(self, features: Sequence[Tensor]) -> Tensor:
        """States [batch, positions, hidden] of the encoder of a Whisper, which hears a second of silence behind."""
        encoder = self.network.get_encoder()
        with look_window(encoder, max(map(len, features))):
            states: Tensor = encoder(self.speech.batch(features, self.network.device).values).last_hidden_state
        return states

    def forced_on(self, states: Tensor, texts: Sequence[str]) -> Heads:
        """Decoder logits as `teacher_forced` gives them, on `states` of the utterances."""
        from transformers.modeling_outputs import BaseModelOutput

        targets, previous = self._forced(texts)
        output = self.network(encoder_outputs=BaseModelOutput(states), decoder_input_ids=previous, use_cache=False)
        return {ATTENTION: AttentionHead(output.logits, targets)}

    def loss(self, heads: Heads) -> Tensor:
        """Cross-entropy per token."""
        return heads[ATTENTION].loss()

    @torch.inference_mode()
    def transcribe(self, features: Sequence[Tensor], *, beam: int = 1) -> list[str]:
        """One transcript per utterance, written by the network's own generation; `beam` 1 is greedy."""
        texts: dict[int, str] = {}
        for group in self._groups(features):
            some = [features[i] for i in group]
            most = [self._most_tokens(one) for one in some]
            for i, tokens in zip(group, self._written(some, most, beam), strict=True):
                texts[i] = self.text.decode(tokens)
        return [texts[i] for i in range(len(features))]

    def misfit(self, text: str) -> str | None:
        """The reason why `text` cannot be written; None where it can.

        Raises:
            ConfigError: generation looks for the language of each utterance.
        """
        n = len(self._tokens(text)) - len(self.prompt)
        too_long = f"a transcript of {n} tokens; this model writes at most {self.room}: cut it where nobody speaks"
        return super().misfit(text) or (too_long if n > self.room else None)

    @property
    def room(self) -> int:
        """The most tokens that the network can and may write, whatever it hears."""
        config, generation = self.network.config, self.network.generation_config
        positions = (getattr(config, name, None) for name in ("max_target_positions", "max_position_embeddings"))
        lengths = (getattr(config, "max_length", None), generation.max_length)
        limits = ((positions, len(self.prompt)), (lengths, self._n_given), ((generation.max_new_tokens,), 0))
        return min([sys.maxsize, *(int(most) - n_given for told, n_given in limits for most in told if most)])

    @property
    def _n_given(self) -> int:
        """Tokens before those that were written in what the network's generation gives back."""
        return 0 if self.network.config.model_type in PROMPT_LEFT_OUT else 1

    def _written(self, features: Sequence[Tensor], most: Sequence[int], beam: int) -> list[Sequence[int]]:
        """The text's tokens, `most` at most, of each of `features`, which can be run together.

        None where nobody speaks, and one round of a loop.
        """
        told: dict[str, Any] = {"max_new_tokens": max(most), "num_beams": beam, "do_sample": False}
        watch = None if self.no_speech is None or beam > 1 else SilenceWatch(self.no_speech, self.end, most)
        if beam == 1:
            told["stopping_criteria"] = [self._loops]
        if watch is not None:
            told["logits_processor"] = [watch]
        with quietly(), self._window(features), nullcontext() if watch is None else watch.on(self.network):
            written = self.network.generate(**self.inputs(features), **told)
        rows: list[list[int]] = written[:, self._n_given :].tolist()
        spoken = [without_loop(self._spoken(row[:n]), self.text.decode) for row, n in zip(rows, most, strict=True)]
        silent = repeat(False) if watch is None else watch.silent([len(tokens) for tokens in spoken])
        return [[] if nobody else tokens for tokens, nobody in zip(spoken, silent, strict=False)]

    @property
    def no_speech(self) -> int | None:
        """The token for recordings in which nobody speaks, which a Whisper has before that for no times."""
        no_times = getattr(self.network.generation_config, "no_timestamps_token_id", None)
        return no_times - 1 if self.windowed and no_times else None

    def _loops(self, written: Tensor, scores: Any) -> Tensor:
        """[batch]: True where the tokens `written` [batch, tokens], behind the prompt, end in a loop."""
        rows = map(self._spoken, written[:, len(self.prompt) :].tolist())
        return torch.tensor([before_loop(row, self.text.decode) is not None for row in rows], device=written.device)

    def _spoken(self, tokens: Sequence[int]) -> list[int]:
        """Those of `tokens` that stand for text."""
        return [token for token in tokens if token not in self.text.special_ids]

    def _most_tokens(self, features: Tensor) -> int:
        """Of a transcript, marks that are no text and the end included."""
        return min(LEAST_TOKENS + int(TOKENS_PER_S * self.speech.seconds(features)), self.room)

    def _forced(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The tokens [B, tokens + 1] of `texts` with their end, and those that the decoder is fed to say them."""
        targets = self._targets(texts)
        previous = F.pad(targets, (1, -1), value=self.prompt[0][0])
        return targets, previous.masked_fill(previous == IGNORE, self._padding)

    def _targets(self, texts: Sequence[str]) -> Tensor:
        """Tokens [B, tokens + 1] of `texts` with their end, IGNORE behind it; without the start, which is given."""
        rows = [torch.tensor(self._tokens(text)) for text in texts]
        return pad_sequence(rows, batch_first=True, padding_value=IGNORE).to(self.network.device)

    def _tokens(self, text: str) -> list[int]:
        """The rest of the prompt, `text` and the end."""
        if any(len(choices) > 1 for choices in self.prompt):
            raise ConfigError(
                "the generation of this model looks for the language of each utterance, which no transcript tells; "
                "name one in the job (language: en), or in the model's generation_config.json "
                '("language": "en", "task": "transcribe")'
            )
        return [*(token for (token,) in self.prompt[1:]), *self.text.encode(text), self.end]

    def _window(self, features: Sequence[Tensor]) -> AbstractContextManager[None]:
        """The window for a batch of `features`: a Whisper learns faster in short ones, and may be told to hear them."""
        if self.training and self.windowed:
            return learning_window(self.network.get_encoder(), max(map(len, features)))
        n_positions = self._positions(features)
        return nullcontext() if n_positions is None else short_window(self.network.get_encoder(), n_positions)

    @property
    def tail_positions(self) -> int | None:
        """Positions of the encoder in `window_tail_s`; None for all of the window."""
        if self.window_tail_s is None:
            return None
        per_position = frames_per_position(self.network.get_encoder()) * self.speech.samples_per_frame
        return math.ceil(self.window_tail_s * self.sample_rate_hz / per_position)

    def _positions(self, features: Sequence[Tensor]) -> int | None:
        """Positions of the window for `features`, where it is not the whole one."""
        n_silent = self.tail_positions
        if self.training or n_silent is None:
            return None
        return window_positions(self.network.get_encoder(), max(map(len, features)), n_silent)

    def _groups(self, features: Sequence[Tensor]) -> list[list[int]]:
        """Utterances that can be run together without changing each other: of one window, or of one length."""
        if not self.speech.window:
            return alike(map(len, features))
        return alike(self._positions([one]) for one in features)

    def inputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        """The arguments of the network's generation for `features` that can be run together."""
        n_positions = self._positions(features)
        n_frames = None if n_positions is None else n_positions * frames_per_position(self.network.get_encoder())
        values = self.speech.batch(features, self.network.device, window=n_frames).values
        # All of it is valid; generation would guess at the mask where the tokens for padding and end are the same.
        mask = torch.ones(len(values), values.shape[-1 if self.speech.form != "frames" else 1], dtype=torch.long)
        return {self.speech.main_input: values, "attention_mask": mask.to(values.device)}


def _token(network: Any, *names: str) -> int:
    """The first of the special tokens `names` that the network's config, or that of its generation, tells.

    Raises:
        CheckpointError: none is told.
    """
    for name in names:
        for config in (network.config, network.generation_config):
            token = getattr(config, name, None)
            if token is not None:
                return int(token[0] if isinstance(token, list | tuple) else token)
    raise CheckpointError(f"neither config.json nor generation_config.json tells {' or '.join(names)}")
