"""A Whisper's encoder on the first part of its window, while it learns.

Its positions are fixed sinusoids, the same however many follow: what is left out is the attention to the silent tail.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


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
