"""Index arithmetic on packed sequences: the frames of each time step stand together, the longest sequence first.

`batch_sizes` [time] says how many sequences still run at each step, as in torch's `PackedSequence`.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Frames(NamedTuple):
    """The place of each packed frame.

    Attributes:
        step: [frames], its time step.
        sequence: [frames], its sequence.
    """

    step: Tensor
    sequence: Tensor


def locate_frames(batch_sizes: Tensor) -> Frames:
    """The step and the sequence of every packed frame."""
    step = torch.repeat_interleave(batch_sizes)
    return Frames(step, torch.arange(len(step)) - (batch_sizes.cumsum(0) - batch_sizes)[step])


def sequence_lengths(batch_sizes: Tensor) -> Tensor:
    """[batch], descending."""
    return (batch_sizes > torch.arange(int(batch_sizes[0]))[:, None]).sum(1)


def padded_rows(batch_sizes: Tensor, *, reverse: bool) -> Tensor:
    """The row of each packed frame [frames] in a padded tensor [time * batch, ...].

    With `reverse`, every sequence starts with its last frame; padding follows the sequence in both cases.
    """
    step, sequence = locate_frames(batch_sizes)
    if reverse:
        step = sequence_lengths(batch_sizes)[sequence] - 1 - step
    return step * int(batch_sizes[0]) + sequence


def reversed_rows(batch_sizes: Tensor) -> Tensor:
    """The row of each packed frame [frames] once every sequence is turned round; twice is as never."""
    step, sequence = locate_frames(batch_sizes)
    starts = batch_sizes.cumsum(0) - batch_sizes
    return starts[sequence_lengths(batch_sizes)[sequence] - 1 - step] + sequence


def previous_states(states: Tensor, initial: Tensor, batch_sizes: Tensor, *, reverse: bool) -> Tensor:
    """The state before each packed frame: [frames, units], like `states`.

    Args:
        states: [frames, units], the state after each frame.
        initial: [batch, units], the state before each sequence's first frame in the direction of time.
        batch_sizes: [time].
        reverse: whether time runs backwards.
    """
    none = batch_sizes.new_zeros(1)
    step, sequence = locate_frames(batch_sizes)
    frame = torch.arange(len(states))
    if reverse:
        neighbour = frame + batch_sizes[step]
        starts = sequence >= torch.cat((batch_sizes[1:], none))[step]
    else:
        neighbour = frame - torch.cat((none, batch_sizes[:-1]))[step]
        starts = step == 0
    return torch.cat((initial, states))[torch.where(starts, sequence, len(initial) + neighbour)]
