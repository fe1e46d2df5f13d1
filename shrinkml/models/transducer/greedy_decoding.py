"""Greedy decoding of a transducer, frame by frame, whole batches or a stream."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from shrinkml.models.transducer.prediction import START, Prediction, State

MOST_PER_STEP = 4  # labels of one step: spoken words are longer than the steps that they are heard in

Score = Callable[[Tensor], Tensor]


class Memory(NamedTuple):
    """The decoder between two frames: the output [batch, joint] of its prediction network, and that one's state."""

    predicted: Tensor
    state: State


def begin(prediction: Prediction, batch: int) -> Memory:
    """The decoder before the first frame."""
    state = prediction.start(batch)
    start = torch.full((batch,), START, device=state[0].device)
    return Memory(*prediction.step(start, state))


def decode(
    prediction: Prediction, joint: Score, encoded: Tensor, counts: Tensor, memory: Memory, *, blank: int
) -> tuple[list[list[int]], Memory]:
    """The likeliest label at each step, until it is the blank; of each utterance all labels, and the decoder then.

    Args:
        prediction: the network that remembers labels.
        joint: from encoded + predicted [..., joint] to logits [..., vocabulary].
        encoded: [batch, steps, joint].
        counts: [batch], valid steps.
        memory: of what was decoded before.
        blank: the label that goes on to the next step.
    """
    said: list[list[int]] = [[] for _ in encoded]
    for t, heard in enumerate(encoded.unbind(1)):
        going = (t < counts).to(heard.device)
        for _ in range(MOST_PER_STEP):
            label = joint(heard + memory.predicted).argmax(-1)
            going = going & (label != blank)
            if not going.any():
                break
            for i in going.nonzero()[:, 0].tolist():
                said[i].append(int(label[i]))
            memory = _kept(going, Memory(*prediction.step(label, memory.state)), memory)
    return said, memory


def _kept(going: Tensor, new: Memory, old: Memory) -> Memory:
    """The rows of `new` where `going` [batch], else those of `old`."""

    def choose(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(going.view(-1, *[1] * (new.dim() - 1)), new, old)

    state = tuple(choose(*pair) for pair in zip(new.state, old.state, strict=True))
    return Memory(choose(new.predicted, old.predicted), state)
