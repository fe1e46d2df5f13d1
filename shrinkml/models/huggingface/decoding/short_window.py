"""A Whisper's encoder on the first part of its window: most of a window is silence.

Its positions are fixed sinusoids, the same however many follow: what is left out is the attention to the silent tail. A
model that never learned to do without that writes its transcript again and again.

References:
    ggml-org/whisper.cpp: `audio_ctx`. futo-org/whisper-acft: fine-tuning for it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WHOLE_SHARE = 0.5  # of the batches are heard with all the silence that follows when the model transcribes
SILENT_IN_LOOK = 50  # the same where a model that was not trained so is only compared with itself: a second
SILENT = 50  # positions behind the longest utterance of the others, at least: a second
STEP = 8  # windows are a multiple of so many positions: fewer shapes, for each of which kernels are made
HEARD_STEP = 25  # the same where a model transcribes, half a second: more utterances are run together


def learning_window(encoder: nn.Module, n_frames: int) -> AbstractContextManager[None]:
    """Inside, the encoder hears a batch in training: at random all of its window, or what ends behind the words.

    Args:
        encoder: a `WhisperEncoder` of transformers.
        n_frames: of the longest utterance.
    """
    if torch.rand(()) < WHOLE_SHARE:
        return nullcontext()
    return short_window(encoder, window_positions(encoder, n_frames, SILENT, step=STEP))


def look_window(encoder: nn.Module, n_frames: int) -> AbstractContextManager[None]:
    """Inside, the encoder hears what ends a second behind the longest utterance, of `n_frames`."""
    return short_window(encoder, window_positions(encoder, n_frames, SILENT_IN_LOOK, step=STEP))


def window_positions(encoder: nn.Module, n_frames: int, n_silent: int, *, step: int = HEARD_STEP) -> int:
    """Positions of a window, a multiple of `step`, for an utterance of `n_frames` and `n_silent` behind it at least."""
    config: Any = encoder.config
    n_spoken = -(-n_frames // frames_per_position(encoder))
    return min(int(config.max_source_positions), step * -(-(n_spoken + n_silent) // step))


@contextmanager
def short_window(encoder: nn.Module, n_positions: int) -> Iterator[None]:
    """Inside, the `WhisperEncoder` of transformers hears the first `n_positions` of its inputs alone; then as before.

    Its states are [batch, n_positions, hidden]. The inputs may fill the whole window.
    """
    config: Any = encoder.config
    positions: Any = encoder.embed_positions
    whole = config.max_source_positions
    n_frames = n_positions * frames_per_position(encoder)

    def cut(module: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if inputs:
            return (inputs[0][..., :n_frames], *inputs[1:]), named
        return inputs, {**named, "input_features": named["input_features"][..., :n_frames]}

    hook = encoder.register_forward_pre_hook(cut, with_kwargs=True)
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


def states_of(encoder: Any, values: Tensor) -> Tensor:
    """States [batch, positions, hidden] of log-mel `values` [batch, bins, frames], as long as they are.

    As the `WhisperEncoder` of transformers computes them of a whole window, in a form that can be traced.
    """
    convolved = F.gelu(encoder.conv2(F.gelu(encoder.conv1(values)))).permute(0, 2, 1)
    states: Tensor = convolved + encoder.embed_positions(torch.arange(convolved.shape[1], device=values.device))
    for layer in encoder.layers:
        states = layer(states, None)
    normed: Tensor = encoder.layer_norm(states)
    return normed
