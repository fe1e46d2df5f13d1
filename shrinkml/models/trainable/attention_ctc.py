"""Targets, heads and loss of an attention decoder and of a CTC layer over the same encoder.

References:
    Kim et al. 2017, Joint CTC-Attention, arXiv:1609.06773.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from shrinkml.models.heads import ATTENTION, CTC, IGNORE, AttentionHead, CtcHead, Heads
from shrinkml.models.tokenizer import BLANK, END, Tokenizer


class Taught(NamedTuple):
    """Reference transcripts as a decoder learns them.

    Attributes:
        fed: [batch, tokens + 1], END and the tokens; anything beyond the end.
        targets: [batch, tokens + 1], the tokens and END; IGNORE beyond the end.
    """

    fed: Tensor
    targets: Tensor


def taught(tokenizer: Tokenizer, texts: Sequence[str], device: torch.device) -> Taught:
    """The reference `texts` in the tokens of `tokenizer`."""
    tokens = [torch.tensor([*tokenizer.encode(text), END], device=device) for text in texts]
    targets = pad_sequence(tokens, batch_first=True, padding_value=IGNORE)
    return Taught(F.pad(targets.clamp(min=0), (1, -1), value=END), targets)


def joint_heads(
    said: Tensor, labels: Tensor, counts: Tensor, targets: Tensor, *, label_smoothing: float = 0.0
) -> Heads:
    """Both heads, first the decoder's.

    Args:
        said: [batch, tokens + 1, vocabulary], logits of the decoder.
        labels: [batch, steps, vocabulary], logits of the CTC layer.
        counts: [batch], valid steps.
        targets: of `taught`.
        label_smoothing: of the decoder's cross-entropy.
    """
    is_end = F.pad(targets, (-1, 1), value=IGNORE) == IGNORE  # and all behind it
    return {
        ATTENTION: AttentionHead(said, targets, label_smoothing),
        CTC: CtcHead(labels, counts, targets.masked_fill(is_end, IGNORE), BLANK),
    }


def joint_loss(heads: Heads, ctc_weight: float) -> Tensor:
    """Cross-entropy of the decoder, mixed with the CTC loss by its share `ctc_weight`; a scalar, per token."""
    attention = heads[ATTENTION].loss()
    return attention if ctc_weight == 0.0 else (1 - ctc_weight) * attention + ctc_weight * heads[CTC].loss()
