"""From a recogniser and speech to what each rank of its layers is expected to do to its scores."""

import logging
import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from agents.decomposing import use_of_the_longest
from shrinkml.compression.calibration import FLOAT32_BYTES
from shrinkml.compression.curvature import Divergences, expected_divergences
from shrinkml.compression.factorize import Decomposition
from shrinkml.dataset import Dataset
from shrinkml.models.protocol import IGNORE, AsrModel, TeacherForced

BATCH_SIZE = 8  # utterances whose labels are drawn together: fewer tell more, and take longer
MOST_BYTES = 2 * 2**30  # of what a backward pass has to remember; the gradients come on top, as large as the model
MOST_HEARD = 200  # utterances
log = logging.getLogger(__name__)


def layer_divergences(
    model: AsrModel, decompositions: Mapping[str, Decomposition], speech: Dataset, *, seed: int
) -> Divergences:
    """By how many nats per utterance each rank of each layer of `model` is expected to move its scores of `speech`.

    Nothing where the model tells no scores, and nothing where one utterance through all of its layers takes too much
    memory. Transcripts are only needed to feed a decoder.

    Args:
        model: a recogniser.
        decompositions: of each of its layers.
        speech: what it is to hear.
        seed: of the labels that the model draws.
    """
    model.module.eval()
    few = speech.subset(np.unique(np.linspace(0, len(speech) - 1, MOST_HEARD).astype(int)).tolist())
    needed = FLOAT32_BYTES * sum(use.largest for use in use_of_the_longest(model, few).values())
    if needed > MOST_BYTES:
        log.info("no divergences are expected of a model that would take %.1f GB for one utterance", needed / 2**30)
        return {}
    batch_size = min(BATCH_SIZE, MOST_BYTES // needed)
    with torch.backends.cudnn.flags(enabled=False):  # its LSTMs give no gradients outside training
        if _scores(model.teacher_forced(few.features[:1], few.texts[:1])) is None:
            return {}
        return expected_divergences(model.module, decompositions, _surprises(model, few, seed, batch_size))


def _surprises(model: AsrModel, speech: Dataset, seed: int, batch_size: int) -> Iterator[Tensor]:
    """Of each batch the negative log-likelihood, in nats, of labels that `model` draws itself.

    Divided by the root of the number of utterances: their slopes are independent, and their squares add up.
    """
    generator = torch.Generator().manual_seed(seed)
    for batch in speech.batches(batch_size):
        scores = _scores(model.teacher_forced([speech.features[i] for i in batch], [speech.texts[i] for i in batch]))
        assert scores is not None, "asked before"
        labels = torch.multinomial(scores.detach().softmax(-1).cpu(), 1, generator=generator).squeeze(1)
        yield F.cross_entropy(scores, labels.to(scores.device), reduction="sum") / math.sqrt(len(batch))


def _scores(output: TeacherForced) -> Tensor | None:
    """[steps, vocabulary]: all that transcripts are read from, the decoder's where there is one."""
    if output.logits.shape[1]:
        return output.logits[output.targets != IGNORE]
    if output.ctc_logits is None or output.frame_counts is None:
        return None
    return torch.cat([row[: int(n)] for row, n in zip(output.ctc_logits, output.frame_counts, strict=True)])
