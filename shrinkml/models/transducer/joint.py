"""The joint network of a transducer over whole lattices, in bounded memory.

The scores of all nodes are frames x labels x vocabulary numbers for each utterance. They are made for a few frames at a
time, of which two numbers a node are kept, and made again for the gradient.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from shrinkml.models.transducer.transducer_loss import Lattice

MOST_SCORES = 2**22  # numbers of a block: 16 MiB of float32, and the same again for its gradient

Joint = Callable[[Tensor], Tensor]  # from encoded + predicted [..., joint] to logits [..., vocabulary]
Reduce = Callable[[Tensor, Tensor], Tensor]


def score_lattice(
    joint: Joint,
    encoded: Tensor,
    predicted: Tensor,
    labels: Tensor,
    frame_counts: Tensor,
    label_counts: Tensor,
    *,
    blank: int,
    most: int = MOST_SCORES,
) -> Lattice:
    """The log probabilities of the blank and of the next label at every node; differentiable.

    Args:
        joint: the network.
        encoded: [batch, frames, joint], of the encoder.
        predicted: [batch, labels + 1, joint], of the prediction network.
        labels: [batch, labels], any label beyond the end.
        frame_counts: [batch], valid frames.
        label_counts: [batch], valid labels.
        blank: its index in the vocabulary.
        most: scores that are in memory at a time.
    """
    following = torch.nn.functional.pad(labels, (0, 1), value=blank)  # behind the last label there is only the blank

    def ways(encoded: Tensor, predicted: Tensor) -> Tensor:
        logits = joint(encoded[:, :, None] + predicted[:, None])
        said = logits.gather(-1, following[:, None, :, None].expand(-1, logits.shape[1], -1, 1))
        return torch.cat((logits[..., blank, None], said), -1) - logits.logsumexp(-1, keepdim=True)

    found = torch.cat(list(in_blocks(ways, joint, encoded, predicted, most=most)), 1)
    return Lattice(found[..., 0], found[:, :, :-1, 1], frame_counts, label_counts)


def in_blocks(reduce: Reduce, joint: Joint, encoded: Tensor, predicted: Tensor, *, most: int) -> Iterator[Tensor]:
    """The results of `reduce` on blocks of frames, none of which needs more than `most` scores.

    Where there are several, they are computed once more for the gradient instead of being kept.
    """
    n_scores = predicted.shape[0] * predicted.shape[1] * joint(predicted[:1, :1]).shape[-1]
    blocks = torch.split(encoded, max(1, most // n_scores), 1)
    for block in blocks:
        if len(blocks) == 1 or not torch.is_grad_enabled():
            yield reduce(block, predicted)
        else:
            yield checkpoint(reduce, block, predicted, use_reentrant=False)
