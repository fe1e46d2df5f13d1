"""The CTC loss of recognisers that label frames.

References:
    Graves et al. 2006, Connectionist Temporal Classification.
"""

import torch.nn.functional as F
from torch import Tensor


def ctc_loss(logits: Tensor, frame_counts: Tensor, tokens: Tensor, lengths: Tensor, *, blank: int) -> Tensor:
    """A scalar, in nats per token; an utterance with more tokens than its frames can say counts as 0.

    Args:
        logits: [batch, frames, vocabulary].
        frame_counts: [batch], valid frames.
        tokens: [batch, tokens]; what lies beyond an utterance's end is negative or not counted.
        lengths: [batch], tokens that are counted.
        blank: the label between labels.
    """
    return F.ctc_loss(
        logits.log_softmax(-1).transpose(0, 1),
        tokens.clamp(min=0),
        frame_counts,
        lengths,
        blank=blank,
        zero_infinity=True,
    )
