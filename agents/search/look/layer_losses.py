"""The expected loss of each layer alone at the ranks of its menu: what searches know before they begin.

It is the Kullback-Leibler divergence of the original's scores from those with one layer cut, fed the same transcripts,
over the number of their tokens. Unlike the energy of a spectrum it is counted in nats per token for every layer, so
that layers can be compared; unlike a WER it is smooth: a few utterances tell it well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agents.search.look.effort import measured_ranks
from agents.search.look.recalled_losses import RecalledLosses
from envs.menus import Menu
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.training.dataset import Dataset

LEAST = 1e-9  # nats per utterance; what is less is none


@dataclass(frozen=True, slots=True)
class LayerLosses:
    """The expected losses of the layers of a model.

    Attributes:
        curves: layer -> nats per token if it alone is cut to rank 0, 1, ... of its menu's highest, never rising.
        tokens_per_utterance: of the speech that they were measured on.
    """

    curves: Mapping[str, tuple[float, ...]]
    tokens_per_utterance: float


def few_of(speech: Dataset, n: int) -> Dataset:
    """At most `n` utterances, spread over all."""
    return speech.subset(np.unique(np.linspace(0, len(speech) - 1, n).astype(int)).tolist())


def layer_losses(measured: RecalledLosses, menus: Mapping[str, Menu], *, every: int) -> LayerLosses | None:
    """Measure the expected losses; None where the model tells no scores. Transcripts only feed a decoder.

    Args:
        measured: losses of plans of the model, on a few utterances.
        menus: of each of its layers.
        every: entries of a menu, of which one is measured; between them, losses go by powers of the rank.
    """
    tokens_per_utterance = measured.tokens_per_utterance()
    if tokens_per_utterance is None:
        return None

    def curve(layer: str, menu: Menu) -> tuple[float, ...]:
        ranks = measured_ranks(menu, every)
        at_ranks = [measured.loss(CompressionPlan.of_ranks({layer: rank})) for rank in ranks]
        per_utterance = _between(ranks, [loss * tokens_per_utterance for loss in at_ranks])
        return tuple(loss / tokens_per_utterance for loss in per_utterance)

    return LayerLosses({layer: curve(layer, menu) for layer, menu in menus.items()}, tokens_per_utterance)


def _between(ranks: Sequence[int], values: Sequence[float]) -> tuple[float, ...]:
    """The loss at rank 0, 1, ... of the highest, never rising, from those at a few `ranks`, ascending."""
    if not ranks:
        return (0.0,)  # the layer stays as it is
    every = np.arange(ranks[-1] + 1)
    logs = np.interp(np.log(np.maximum(every, 0.5)), np.log(ranks), np.log(np.maximum(values, LEAST)))
    falling = np.maximum.accumulate(np.exp(logs)[::-1])[::-1]
    return tuple(np.where(falling > 1.01 * LEAST, falling, 0.0).tolist())
