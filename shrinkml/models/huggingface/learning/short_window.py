"""A Whisper's encoder on the first part of its window, while it learns: most of a window is silence.

Its positions are fixed sinusoids, the same however many follow: what is left out is the attention to the silent tail.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

WHOLE_SHARE = 0.125  # of the batches are heard with all the silence that follows when the model transcribes
SILENT_IN_LOOK = 50  # the same where a model that was not trained so is only compared with itself: a second
SILENT = 6  # positions behind the longest utterance of the others, at least
STEP = 8  # windows are a multiple of so many positions: fewer shapes, for each of which kernels are made


def learning_window(encoder: nn.Module, n_frames: int) -> AbstractContextManager[None]:
    """Inside, the encoder hears a batch in training: at random all of its window, or what ends behind the words.

    Args:
        encoder: a `WhisperEncoder` of transformers.
        n_frames: of the longest utterance.
    """
    if torch.rand(()) < WHOLE_SHARE:
        return nullcontext()
    return _window_of(encoder, n_frames, SILENT)


def look_window(encoder: nn.Module, n_frames: int) -> AbstractContextManager[None]:
    """Inside, the encoder hears what ends a second behind the longest utterance, of `n_frames`."""
    return _window_of(encoder, n_frames, SILENT_IN_LOOK)


def _window_of(encoder: nn.Module, n_frames: int, n_silent: int) -> AbstractContextManager[None]:
    config: Any = encoder.config
    n_spoken = -(-n_frames // frames_per_position(encoder))
    return short_window(encoder, min(config.max_source_positions, STEP * -(-(n_spoken + n_silent) // STEP)))


@contextmanager
def short_window(encoder: nn.Module, n_positions: int) -> Iterator[None]:
    """Inside, the `WhisperEncoder` of transformers hears the first `n_positions` of its inputs alone; then as before.

    Its states are [batch, n_positions, hidden]. The inputs fill the whole window, as always.
    """
    config: Any = encoder.config
    positions: Any = encoder.embed_positions
    whole = config.max_source_positions
    n_frames = n_positions * frames_per_position(encoder)

    def cut(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0][..., :n_frames], *inputs[1:])

    hook = encoder.register_forward_pre_hook(cut)
    # transformers checks the inputs' length by the one, and adds as many positions as the other tells.
    config.max_source_positions = positions.num_embeddings = n_positions
    try:
        yield
    finally:
        config.max_source_positions = positions.num_embeddings = whole
        hook.remove()


def frames_per_position(encoder: Any) -> int:
    """Frames of the input to one position of the `WhisperEncoder`'s states."""
    return int(encoder.conv1.stride[0] * encoder.conv2.stride[0])
