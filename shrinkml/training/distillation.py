"""Distillation: the posteriors of a teacher for every utterance, and the divergence of a student from them.

References:
    Hinton et al. 2015, Distilling the Knowledge in a Neural Network, arXiv:1503.02531 (here at temperature 1, on the
    teacher-forced posteriors of every head).
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from shrinkml.errors import ConfigError, StoppedError
from shrinkml.events import ShouldStop
from shrinkml.models.heads import Heads
from shrinkml.models.posteriors import Posteriors
from shrinkml.models.protocol import AsrModel
from shrinkml.training.dataset import Dataset

DISTILL_WEIGHT = 0.9  # share of the teacher in the loss; ours: at 5x, a lower loss on dev than 0.5
BATCH_SIZE = 16  # a Whisper hears 30 s in each: more would take gigabytes

SoftTargets = Mapping[str, Sequence[Posteriors]]  # by head, those of each utterance of a dataset


@torch.no_grad()
def soft_targets(
    teacher: AsrModel,
    dataset: Dataset,
    *,
    on_heard: Callable[[int], None] = lambda n: None,
    should_stop: ShouldStop = lambda: False,
) -> SoftTargets:
    """The posteriors of every head of `teacher` for every utterance of `dataset`, fed the transcripts.

    Args:
        teacher: trained.
        dataset: to be learned.
        on_heard: called after every batch with the utterances that were heard.
        should_stop: asked before every batch.

    Raises:
        StoppedError: `should_stop` said so.
    """
    teacher.module.eval()
    found: dict[str, dict[int, Posteriors]] = {}
    n_heard = 0
    for batch in dataset.batches(BATCH_SIZE):
        if should_stop():
            raise StoppedError("stopped while the teacher was heard")
        heads = teacher.teacher_forced([dataset.features[i] for i in batch], [dataset.texts[i] for i in batch])
        for name, head in heads.items():
            found.setdefault(name, {}).update(zip(batch, head.teacher_targets(), strict=True))
        n_heard += len(batch)
        on_heard(n_heard)
    return {name: [kept[i] for i in range(len(dataset))] for name, kept in found.items()}


def divergence(heads: Heads, soft: SoftTargets, batch: Sequence[int]) -> Tensor:
    """The sum of the distillation losses of the heads that student and teacher share, a scalar.

    Args:
        heads: of the student, for the utterances `batch`.
        soft: targets of a teacher, of a dataset.
        batch: indices into the dataset.

    Raises:
        ConfigError: they share none.
    """
    shared = [head.distillation_loss([soft[name][i] for i in batch]) for name, head in heads.items() if name in soft]
    if not shared:
        raise ConfigError(
            f"a student with the heads {', '.join(heads)} cannot learn from a teacher with {', '.join(soft)}; "
            "allowed: one head in common, at least"
        )
    return sum(shared[1:], start=shared[0])
