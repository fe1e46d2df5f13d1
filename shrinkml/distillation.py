"""Distillation: what a teacher says of every utterance, and how far a student is from it.

References:
    Hinton et al. 2015, Distilling the Knowledge in a Neural Network, arXiv:1503.02531 (here at temperature 1, on the
    teacher-forced posteriors of every token and of every CTC frame).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from shrinkml.dataset import Dataset
from shrinkml.errors import StoppedError
from shrinkml.events import ShouldStop
from shrinkml.models.protocol import IGNORE, AsrModel, TeacherForced

DISTILL_WEIGHT = 0.9  # share of the teacher in the loss; ours: at 5x, a lower loss on dev than 0.5
BATCH_SIZE = 64


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """A teacher's log posteriors of every utterance of a dataset.

    Attributes:
        decoder: [tokens, V] each.
        ctc: [frames, V] each; None where the teacher has no CTC head.
    """

    decoder: list[Tensor]
    ctc: list[Tensor] | None


@torch.no_grad()
def soft_targets(teacher: AsrModel, dataset: Dataset, *, should_stop: ShouldStop = lambda: False) -> SoftTargets:
    """What `teacher` says of every utterance of `dataset` when it is fed the transcripts.

    Raises:
        StoppedError: `should_stop`, asked before every batch, said so.
    """
    teacher.module.eval()
    decoder: dict[int, Tensor] = {}
    ctc: dict[int, Tensor] = {}
    for batch in dataset.batches(BATCH_SIZE):
        if should_stop():
            raise StoppedError("stopped while the teacher was heard")
        output = teacher.teacher_forced([dataset.features[i] for i in batch], [dataset.texts[i] for i in batch])
        for row, i in enumerate(batch):
            n_tokens = int((output.targets[row] != IGNORE).sum())
            decoder[i] = output.logits[row, :n_tokens].log_softmax(-1)
            if output.ctc_logits is not None and output.frame_counts is not None:
                ctc[i] = output.ctc_logits[row, : int(output.frame_counts[row])].log_softmax(-1)
    indices = range(len(dataset))
    return SoftTargets([decoder[i] for i in indices], [ctc[i] for i in indices] if ctc else None)


def divergence(output: TeacherForced, soft: SoftTargets, batch: Sequence[int]) -> Tensor:
    """Mean KL(teacher || student) per token, plus the same per CTC frame."""
    n_tokens = (output.targets != IGNORE).sum(1).tolist()
    rows = zip(batch, output.logits, n_tokens, strict=True)
    result = _kl([(soft.decoder[i], logits[:n]) for i, logits, n in rows])
    if soft.ctc is not None and output.ctc_logits is not None:
        pairs = [(soft.ctc[i], output.ctc_logits[row, : len(soft.ctc[i])]) for row, i in enumerate(batch)]
        result = result + _kl(pairs)
    return result


def _kl(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    teacher = torch.cat([log_posteriors for log_posteriors, _ in pairs])
    student = torch.cat([logits for _, logits in pairs]).log_softmax(-1)
    # A model without a decoder has no tokens: nothing differs then.
    return F.kl_div(student, teacher, reduction="sum", log_target=True) / max(1, len(teacher))
