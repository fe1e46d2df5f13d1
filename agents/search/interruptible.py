"""A recogniser that can be called off: long evaluations end within a layer or two of a stop."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from shrinkml.errors import StoppedError
from shrinkml.events import ShouldStop
from shrinkml.models.heads import Heads
from shrinkml.models.protocol import AsrModel, TwoPartModel
from shrinkml.speech.spelling import Spelling

MOST_WORK = 2e12  # floating-point operations at a time, as memory grows with them: 17 windows of a Whisper tiny
ASKED_EVERY_S = 1.0  # whether to stop, while layers run
POSITIONS_PER_S = 50.0  # that recognisers look at, of speech; some look at fewer
FRAMES_PER_S = 100.0  # of features, where they are no waveform


class Interruptible:
    """An `AsrModel` that does what `model` does, and raises StoppedError once `should_stop` says so.

    It asks before every layer, but not more often than ASKED_EVERY_S. On a CPU it transcribes so few utterances at a
    time that memory stays small. How many depends on the model and on them, not on the clock: the same speech is always
    transcribed in the same batches.
    """

    def __init__(self, model: AsrModel, should_stop: ShouldStop) -> None:
        self._model = model
        self._should_stop = should_stop

    @property
    def family(self) -> str:
        """The model's family."""
        return self._model.family

    @property
    def longest_s(self) -> float | None:
        """Seconds of the longest utterance that the model takes."""
        return self._model.longest_s

    def misfit(self, text: str) -> str | None:
        """The reason why the model cannot write `text`; None where it can."""
        return self._model.misfit(text)

    def spelling(self, text: str) -> Spelling | None:
        """The model's tokens of `text`."""
        return self._model.spelling(text)

    @property
    def sample_rate_hz(self) -> int:
        """The sample rate that `features` expects."""
        return self._model.sample_rate_hz

    @property
    def module(self) -> nn.Module:
        """The torch module of the model."""
        return self._model.module

    def features(self, waveform: np.ndarray) -> Tensor:
        """The model's features of `waveform`."""
        self._check()
        return self._model.features(waveform)

    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """The model's scores for the reference `texts`."""
        with _before_layers(self._check):
            return self._model.teacher_forced(features, texts)

    def loss(self, heads: Heads) -> Tensor:
        """The model's training loss."""
        return self._model.loss(heads)

    def transcribe(self, features: Sequence[Tensor], *, beam: int = 1) -> list[str]:
        """The model's transcripts."""
        texts: list[str] = []
        for some in self._in_turn(features):
            with _before_layers(self._check):
                texts += self._model.transcribe(some, beam=beam)
        return texts

    def _in_turn(self, features: Sequence[Tensor]) -> Iterator[Sequence[Tensor]]:
        """`features`, in order, as many utterances at a time as take little work."""
        most = max((self._seconds(of_one) for of_one in features), default=0.0)
        at_a_time = max(1, int(MOST_WORK / max(1.0, most * self._work_per_s)))
        for start in range(0, len(features), at_a_time):
            yield features[start : start + at_a_time]

    def _seconds(self, features: Tensor) -> float:
        """Of speech that the model works on to transcribe `features`, about: whole windows, where it takes those."""
        if self.longest_s is not None:
            return self.longest_s
        is_waveform = features.dim() == 1 or features.shape[-1] == 1
        return len(features) / (self.sample_rate_hz if is_waveform else FRAMES_PER_S)

    @cached_property
    def _work_per_s(self) -> float:
        """Floating-point operations per second of speech, as if every weight multiplied each position once."""
        weights = list(self.module.parameters())
        on_cpu = all(weight.device.type == "cpu" for weight in weights)
        return 2 * POSITIONS_PER_S * sum(weight.numel() for weight in weights) if on_cpu else 0.0

    @property
    def in_parts(self) -> TwoPartModel | None:
        """The model, if its encoder's states can be kept."""
        self._check()
        parts = self._model if isinstance(self._model, TwoPartModel) else None
        return None if parts is None or parts.encoder_prefix is None else parts

    def _check(self) -> None:
        if self._should_stop():
            raise StoppedError("stopped on request")


@contextmanager
def _before_layers(check: Callable[[], None]) -> Iterator[None]:
    """Calls `check`; inside also before layers that this thread runs, every ASKED_EVERY_S.

    By a hook on all modules of the process: one on a module of its own would keep torch from its fast paths.
    """
    check()
    thread, asked_at = threading.get_ident(), time.monotonic()

    def ask(module: nn.Module, inputs: Any) -> None:
        nonlocal asked_at
        if threading.get_ident() == thread and time.monotonic() - asked_at >= ASKED_EVERY_S:
            asked_at = time.monotonic()
            check()

    hook = register_module_forward_pre_hook(ask)
    try:
        yield
    finally:
        hook.remove()
