"""The expected loss of each layer alone at the ranks of its menu: what searches know before they begin.

It is the Kullback-Leibler divergence of the original's scores from those with one layer cut, fed the same transcripts,
over the number of their tokens. Unlike the energy of a spectrum it is counted in nats per token for every layer, so
that layers can be compared; unlike a WER it is smooth: a few utterances tell it well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from agents.search.decompose_layers import fitting_batch_size, use_of_the_longest
from envs.menus import Menu
from shrinkml.models.heads import Heads, transcript_head
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.training.dataset import Dataset

N_HEARD = 32  # utterances
EVERY = 6  # entries of a menu, of which one is measured; between them, losses go by powers of the rank
LEAST = 1e-9  # nats per utterance; what is less is none
IMPOSSIBLE = -1e4  # the logarithm of a posterior that is 0 or no number: finite, so that its share is counted


@dataclass(frozen=True, slots=True)
class LayerLosses:
    """The expected losses of the layers of a model.

    Attributes:
        curves: layer -> nats per token if it alone is cut to rank 0, 1, ... of its menu's highest, never rising.
        tokens_per_utterance: of the speech that they were measured on.
    """

    curves: Mapping[str, tuple[float, ...]]
    tokens_per_utterance: float


def layer_losses(
    model: AsrModel, cut: Callable[[CompressionPlan], AsrModel], menus: Mapping[str, Menu], speech: Dataset
) -> LayerLosses | None:
    """Measure the expected losses; None where the model tells no scores. Transcripts only feed a decoder.

    Args:
        model: a recogniser.
        cut: gives it with the layers of a plan cut.
        menus: of each of its layers.
        speech: of which it hears a few utterances, spread over all.
    """
    few = speech.subset(np.unique(np.linspace(0, len(speech) - 1, N_HEARD).astype(int)).tolist())
    model.module.eval()
    batches = list(few.batches(fitting_batch_size(use_of_the_longest(model, few))))
    reference = _heard(model, few, batches)
    if reference is None:
        return None
    tokens_per_utterance = max(1, _n_tokens(model, few, batches)) / len(few)

    def measured(layer: str, rank: int) -> float:  # in nats per utterance
        heard = _heard(cut(CompressionPlan.of_ranks({layer: rank})), few, batches)
        assert heard is not None, "a model that is cut tells as much as before"
        pairs = zip(heard, reference, strict=True)
        total = sum(float(F.kl_div(after, before, reduction="sum", log_target=True)) for after, before in pairs)
        return max(0.0, total) / len(few)

    def curve(layer: str, menu: Menu) -> tuple[float, ...]:
        ranks = [rank for rank in menu if rank is not None]
        chosen = sorted({*ranks[::EVERY], *ranks[-1:]})
        per_utterance = _between(chosen, [measured(layer, rank) for rank in chosen])
        return tuple(loss / tokens_per_utterance for loss in per_utterance)

    return LayerLosses({layer: curve(layer, menu) for layer, menu in menus.items()}, tokens_per_utterance)


@torch.inference_mode()
def _n_tokens(model: AsrModel, speech: Dataset, batches: Sequence[Sequence[int]]) -> int:
    """The number of tokens of the transcripts."""
    return sum(transcript_head(_fed(model, speech, batch)).n_tokens for batch in batches)


def _fed(model: AsrModel, speech: Dataset, batch: Sequence[int]) -> Heads:
    return model.teacher_forced([speech.features[i] for i in batch], [speech.texts[i] for i in batch])


@torch.inference_mode()
def _heard(model: AsrModel, speech: Dataset, batches: Sequence[Sequence[int]]) -> list[Tensor] | None:
    """Of each batch the logarithms [steps, vocabulary] of all posteriors that transcripts are read from."""
    found = []
    for batch in batches:
        rows = transcript_head(_fed(model, speech, batch)).rows()
        if not rows:
            return None
        found.append(torch.cat(rows).log_softmax(-1).nan_to_num(nan=IMPOSSIBLE, neginf=IMPOSSIBLE))
    return found


def _between(ranks: Sequence[int], values: Sequence[float]) -> tuple[float, ...]:
    """The loss at rank 0, 1, ... of the highest, never rising, from those at a few `ranks`, ascending."""
    if not ranks:
        return (0.0,)  # the layer stays as it is
    every = np.arange(ranks[-1] + 1)
    logs = np.interp(np.log(np.maximum(every, 0.5)), np.log(ranks), np.log(np.maximum(values, LEAST)))
    falling = np.maximum.accumulate(np.exp(logs)[::-1])[::-1]
    return tuple(np.where(falling > 1.01 * LEAST, falling, 0.0).tolist())
