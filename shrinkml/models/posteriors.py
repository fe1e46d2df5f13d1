"""Posteriors of a teacher that are kept for a student, and the divergence of a student from them.

References:
    Hinton et al. 2015, Distilling the Knowledge in a Neural Network, arXiv:1503.02531 (here at temperature 1).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

TOP = 128  # tokens of a larger vocabulary whose posteriors are kept: all 51,865 of Whisper's would fill gigabytes
LEAST = 1e-6  # of the other tokens together, so that their logarithm stays finite


class Posteriors(NamedTuple):
    """Log posteriors of the steps of an utterance.

    Attributes:
        values: [steps, V]; of a large vocabulary [steps, TOP + 1], the last being all other tokens together.
        tokens: [steps, TOP], the tokens that `values` are of; None where they are the whole vocabulary.
    """

    values: Tensor
    tokens: Tensor | None


def likeliest(logits: Tensor) -> Posteriors:
    """The posteriors that are kept of `logits` [steps, V], in the CPU's memory: a GPU's may be too small for all."""
    values = logits.log_softmax(-1).cpu()
    if values.shape[-1] <= TOP + 1:
        return Posteriors(values, None)
    best = values.topk(TOP)
    return Posteriors(_with_the_rest(best.values), best.indices)


def kl_per_step(teacher: Sequence[Posteriors], student: Sequence[Tensor]) -> Tensor:
    """Mean KL(teacher || student) over all steps, in nats; a scalar.

    Where only the teacher's likeliest tokens are known, all others count as one: never more than the whole divergence.

    Args:
        teacher: posteriors of each utterance.
        student: logits [steps, V] of the same steps of each utterance.
    """
    after = torch.cat(list(student)).log_softmax(-1)
    before = torch.cat([posteriors.values for posteriors in teacher]).to(after.device)
    tokens = [posteriors.tokens for posteriors in teacher if posteriors.tokens is not None]
    if tokens:
        after = _with_the_rest(after.gather(-1, torch.cat(tokens).to(after.device)))
    return F.kl_div(after, before, reduction="sum", log_target=True) / max(1, len(before))


def _with_the_rest(values: Tensor) -> Tensor:
    """[steps, n + 1]: log posteriors `values` [steps, n], and that of all other tokens together."""
    rest = (1 - values.exp().sum(-1, keepdim=True)).clamp(min=LEAST).log()
    return torch.cat((values, rest), -1)
