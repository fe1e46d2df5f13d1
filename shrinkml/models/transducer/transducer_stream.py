"""A transducer that hears an utterance piece by piece, and knows by then what its streaming pass knows of the whole."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from shrinkml.models.tokenizer import BLANK
from shrinkml.models.transducer.cascaded_encoder import Encoded, State
from shrinkml.models.transducer.greedy_decoding import begin, decode
from shrinkml.models.transducer.transducer import Transducer, scaled
from shrinkml.speech.features import CENTRED, LogMelStream


class TransducerStream:
    """One utterance, heard in pieces of any length; implements `SpeechStream`."""

    def __init__(self, model: Transducer) -> None:
        """A stream of `model` that has heard nothing."""
        config = model.config
        self._model = model
        self._mel = LogMelStream(config.sample_rate_hz, n_mels=config.n_mels, framing=CENTRED)
        self._frames = torch.zeros(0, config.n_mels)  # that are no whole step yet
        self._states: list[Tensor] = []
        self._labels: list[int] = []
        self._last: State | None = None
        with torch.inference_mode():
            self._memory = begin(model.prediction, 1)

    @property
    def text(self) -> str:
        """The transcript of the streaming pass so far."""
        return self._model.tokenizer.decode(self._labels)

    @property
    def n_steps(self) -> int:
        """Steps of the encoder that were heard."""
        return sum(states.shape[1] for states in self._states)

    @torch.inference_mode()
    def accept(self, waveform: np.ndarray) -> str:
        """Hear the next piece, `waveform` [samples]; returns `text`."""
        self._hear(torch.cat((self._frames, scaled(self._mel.accept(waveform)))))
        return self.text

    @torch.inference_mode()
    def finish(self) -> str:
        """Hear the end; returns the transcript of the pass that looks ahead, or `text` where there is none."""
        model = self._model
        frames = torch.cat((self._frames, scaled(self._mel.finish())))
        self._hear(F.pad(frames, (0, 0, 0, -len(frames) % model.causal.frames_per_step)))
        if model.look_ahead is None or not self._states:
            return self.text
        states = torch.cat(self._states, 1)
        (text,) = model.read(model.look_ahead(Encoded(states, torch.tensor([states.shape[1]]))))
        return text

    def _hear(self, frames: Tensor) -> None:
        """Go on by the whole steps of `frames` [frames, n_mels], and keep the rest."""
        model = self._model
        whole = len(frames) - len(frames) % model.causal.frames_per_step
        self._frames = frames[whole:]
        if whole:
            states, self._last = model.causal.go_on(frames[:whole], self._last)
            self._states.append(states)
            counts = torch.tensor([states.shape[1]])
            (said,), self._memory = decode(
                model.prediction, model.score, model.encoded(states), counts, self._memory, blank=BLANK
            )
            self._labels += said
