"""Signs, in the generation of a Whisper, that nobody speaks in what it hears."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from shrinkml.speech.silence import NO_SPEECH, nobody_speaks


class SilenceWatch:
    """A logits processor of transformers that changes nothing, for one greedy generation of a batch."""

    def __init__(self, no_speech_token: int, end: int, most: Sequence[int]) -> None:
        """The tokens for a recording without speech and for the end, and the most that each transcript may have."""
        self._token = no_speech_token
        self._end = end
        self._most = torch.tensor(most)
        self._no_speech: Tensor | None = None  # [batch], probability
        self._sum = torch.zeros(len(most))  # of log probabilities
        self._n = torch.zeros(len(most))
        self._running = torch.zeros(len(most), dtype=torch.bool)
        self._last = torch.zeros(len(most), dtype=torch.long)

    @contextmanager
    def on(self, network: nn.Module) -> Iterator[None]:
        """Inside, the scores behind the first token of the prompt of `network` are noted, when it is first called."""

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            if self._no_speech is None:
                self._no_speech = output.logits[:, 0].float().softmax(-1)[:, self._token].cpu()
                self._running = self._no_speech > NO_SPEECH  # of the others, nothing more is asked

        hook = network.register_forward_hook(note)
        try:
            yield
        finally:
            hook.remove()

    def __call__(self, written: Tensor, scores: Tensor) -> Tensor:
        """`scores` [batch, V] as they are; the likeliest of each is the token that `written` goes on with."""
        if bool(self._running.any()):
            # A transcript that was ended for another reason goes on with padding.
            self._running &= (self._n == 0) | (written[:, -1].cpu() == self._last)
            best = scores.float().log_softmax(-1).max(-1)
            self._sum += torch.where(self._running, best.values.cpu(), 0.0)
            self._n += self._running
            self._last = best.indices.cpu()
            self._running &= (self._last != self._end) & (self._n < self._most)
        return scores

    def silent(self, n_tokens: Sequence[int]) -> list[bool]:
        """True for each recording in which nobody speaks, of whose text so many tokens were written."""
        assert self._no_speech is not None, "the network was not called"
        means = (self._sum / self._n.clamp(min=1)).tolist()
        return list(map(nobody_speaks, self._no_speech.tolist(), means, n_tokens))
