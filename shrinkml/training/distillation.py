"""Distillation: what a teacher says of every utterance, and how far a student is from it.

References:
    Hinton et al. 2015, Distilling the Knowledge in a Neural Network, arXiv:1503.02531 (here at temperature 1, on the
    teacher-forced posteriors of every token and of every CTC frame).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from shrinkml.errors import StoppedError
from shrinkml.events import ShouldStop
from shrinkml.models.protocol import IGNORE, AsrModel, TeacherForced
from shrinkml.training.dataset import Dataset

DISTILL_WEIGHT = 0.9  # share of the teacher in the loss; ours: at 5x, a lower loss on dev than 0.5
BATCH_SIZE = 64
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


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """What a teacher says of every utterance of a dataset.

    Attributes:
        decoder: of the tokens of each utterance.
        ctc: of the frames of each utterance; None where the teacher has no CTC head.
    """

    decoder: list[Posteriors]
    ctc: list[Posteriors] | None


@torch.no_grad()
def soft_targets(teacher: AsrModel, dataset: Dataset, *, should_stop: ShouldStop = lambda: False) -> SoftTargets:
    """What `teacher` says of every utterance of `dataset` when it is fed the transcripts.

    Raises:
        StoppedError: `should_stop`, asked before every batch, said so.
    """
    teacher.module.eval()
    decoder: dict[int, Posteriors] = {}
    ctc: dict[int, Posteriors] = {}
    for batch in dataset.batches(BATCH_SIZE):
        if should_stop():
            raise StoppedError("stopped while the teacher was heard")
        output = teacher.teacher_forced([dataset.features[i] for i in batch], [dataset.texts[i] for i in batch])
        for row, i in enumerate(batch):
            n_tokens = int((output.targets[row] != IGNORE).sum())
            decoder[i] = _likeliest(output.logits[row, :n_tokens])
            if output.ctc_logits is not None and output.frame_counts is not None:
                ctc[i] = _likeliest(output.ctc_logits[row, : int(output.frame_counts[row])])
    indices = range(len(dataset))
    return SoftTargets([decoder[i] for i in indices], [ctc[i] for i in indices] if ctc else None)


def divergence(output: TeacherForced, soft: SoftTargets, batch: Sequence[int]) -> Tensor:
    """Mean KL(teacher || student) per token, plus the same per CTC frame.

    Where only the teacher's likeliest tokens are known, all others count as one: never more than the whole divergence.
    """
    n_tokens = (output.targets != IGNORE).sum(1).tolist()
    rows = zip(batch, output.logits, n_tokens, strict=True)
    result = _kl([(soft.decoder[i], logits[:n]) for i, logits, n in rows])
    if soft.ctc is not None and output.ctc_logits is not None:
        pairs = [(soft.ctc[i], output.ctc_logits[row, : len(soft.ctc[i].values)]) for row, i in enumerate(batch)]
        result = result + _kl(pairs)
    return result


def _kl(pairs: Sequence[tuple[Posteriors, Tensor]]) -> Tensor:
    student = torch.cat([logits for _, logits in pairs]).log_softmax(-1)
    teacher = torch.cat([posteriors.values for posteriors, _ in pairs]).to(student.device)
    tokens = [posteriors.tokens for posteriors, _ in pairs if posteriors.tokens is not None]
    if tokens:
        student = _with_the_rest(student.gather(-1, torch.cat(tokens).to(student.device)))
    # A model without a decoder has no tokens: nothing differs then.
    return F.kl_div(student, teacher, reduction="sum", log_target=True) / max(1, len(teacher))


def _likeliest(logits: Tensor) -> Posteriors:
    """The posteriors that are kept of `logits` [steps, V], in the CPU's memory: a GPU's may be too small for all."""
    values = logits.log_softmax(-1).cpu()
    if values.shape[-1] <= TOP + 1:
        return Posteriors(values, None)
    best = values.topk(TOP)
    return Posteriors(_with_the_rest(best.values), best.indices)


def _with_the_rest(values: Tensor) -> Tensor:
    """[steps, n + 1]: log posteriors `values` [steps, n], and that of all other tokens together."""
    rest = (1 - values.exp().sum(-1, keepdim=True)).clamp(min=LEAST).log()
    return torch.cat((values, rest), -1)
