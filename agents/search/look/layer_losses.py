"""The expected loss of each layer alone under its choices: what searches know before they begin.

It is the Kullback-Leibler divergence of the original's scores from those with one layer cut, fed the same transcripts,
over the number of their tokens. Unlike the energy of a spectrum it is counted in nats per token for every layer, so
that layers can be compared; unlike a WER it is smooth: a few utterances tell it well.

A few ranks of each layer are measured. The loss of the others follows from the energy that they leave out of its
output, which every decomposition tells: it goes by a power of that, for each layer its own. The rule is our own. By the
rank itself it would be blind to where a spectrum ends.

Units that are cut are measured like ranks: their decomposition tells what fewer of them leave out.

Levers are measured one by one, and their losses added up: a lower rank, and others at the present rank
(`agents.search.look.lever_losses`). Each module that may be dropped is measured so, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from agents.search.look.effort import measured_ranks
from agents.search.look.lever_losses import LeverLosses, all_lever_losses, n_measured_of_levers
from agents.search.look.recalled_losses import RecalledLosses
from envs.levers import Choices
from envs.menus import Menu
from envs.rank_options import loss_at
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.training.dataset import Dataset

LeftOut = Callable[[str, int], float]  # layer and rank -> share of the energy of its output that is lost

LEAST = 1e-9  # nats per utterance; what is less is none
LEAST_SHARE = 1e-7  # of the energy of a layer; what is less is rounding
POWERS = (0.25, 2.0)  # of the energy left out that losses go by, at least and at most, beyond the measured ranks


@dataclass(frozen=True, slots=True)
class LayerLosses:
    """The expected losses of the layers of a model.

    Attributes:
        curves: layer -> nats per token if it alone is cut to rank 0, 1, ... of its menu's highest, never rising; or to
            as many units.
        tokens_per_utterance: of the speech that they were measured on.
        others: layer -> what the levers beside ranks lose.
        times: layer -> what all of its losses are to be multiplied with, where that is not 1.
        dropped: module -> nats per token if it alone is dropped; of those that are already, nothing.
    """

    curves: Mapping[str, tuple[float, ...]]
    tokens_per_utterance: float
    others: Mapping[str, Sequence[LeverLosses]] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)
    dropped: Mapping[str, float] = field(default_factory=dict)

    def at(self, layer: str, choice: Choice) -> float:
        """The nats per token that are lost if `layer` alone is under `choice`."""
        times = self.times.get(layer, 1.0)
        if choice.dropped:
            return self.dropped.get(layer, 0.0) * times
        by_rank = loss_at(self.curves[layer], choice.directions)
        return (by_rank + sum(lever.at(choice) for lever in self.others.get(layer, ()))) * times


def few_of(speech: Dataset, n: int) -> Dataset:
    """At most `n` utterances, spread over all."""
    return speech.subset(np.unique(np.linspace(0, len(speech) - 1, n).astype(int)).tolist())


def by_rank(choices: Sequence[Choice]) -> dict[int, Choice]:
    """Rank, or units -> the choice of `choices` that changes it alone, ascending; of two, the one of whole factors."""
    present = choices[-1]
    beside = present.bits, present.sparsity
    same = None, present.directions
    alone = [it for it in choices[:-1] if (it.bits, it.sparsity) == beside and it.directions not in same]
    alone.sort(key=lambda choice: (choice.directions or 0, not choice.identity))
    return {choice.directions: choice for choice in alone if choice.directions is not None}


def menu_of(choices: Sequence[Choice]) -> Menu:
    """The ranks, or units, that `choices` give, and the present one, last."""
    return (*by_rank(choices), choices[-1].directions)


def layer_losses(measured: RecalledLosses, choices: Choices, left_out: LeftOut, *, n_ranks: int) -> LayerLosses | None:
    """Measure the expected losses; None where the model tells no scores. Transcripts only feed a decoder.

    Args:
        measured: losses of plans of the model, on a few utterances.
        choices: of each of its layers.
        left_out: by the ranks among the choices.
        n_ranks: of each layer that are measured, at most.
    """
    tokens_per_utterance = measured.tokens_per_utterance()
    if tokens_per_utterance is None:
        return None

    def curve(layer: str, options: Sequence[Choice]) -> tuple[float, ...]:
        alone = by_rank(options)
        known = {
            rank: measured.loss(CompressionPlan({layer: alone[rank]})) * tokens_per_utterance
            for rank in measured_ranks(menu_of(options)[:-1], n_ranks)
        }
        per_utterance = _by_energy(known, {rank: left_out(layer, rank) for rank in alone})
        return tuple(loss / tokens_per_utterance for loss in _between(per_utterance))

    curves = {layer: curve(layer, options) for layer, options in choices.items()}
    others = {
        layer: all_lever_losses(measured, layer, options, [*by_rank(options).values()])
        for layer, options in choices.items()
    }
    dropped = {
        module: measured.loss(CompressionPlan({module: options[0]}))
        for module, options in choices.items()
        if _may_be_dropped(options)
    }
    return LayerLosses(curves, tokens_per_utterance, others, dropped=dropped)


def n_measured(choices: Sequence[Choice], n_ranks: int) -> int:
    """The losses of a layer of those `choices` that `layer_losses` measures."""
    lower = by_rank(choices)
    n_levers = n_measured_of_levers(choices, [*lower.values()])
    return len(measured_ranks(tuple(lower), n_ranks)) + n_levers + _may_be_dropped(choices)


def _may_be_dropped(choices: Sequence[Choice]) -> bool:
    return len(choices) > 1 and choices[0].dropped


def _by_energy(known: Mapping[int, float], left_out: Mapping[int, float]) -> dict[int, float]:
    """The loss at each of the ranks in `left_out`, ascending, from those that are `known` of a few of them.

    Between two known ranks losses go by that power of the energy left out which fits both, beyond them by that of the
    nearest two, or in proportion where one alone is known.
    """
    if not known:
        return {}
    shares = {rank: float(np.log(max(share, LEAST_SHARE))) for rank, share in left_out.items()}
    at = np.array([shares[rank] for rank in known])
    logs = np.log(np.maximum([*known.values()], LEAST))
    rises = at[:-1] > at[1:]
    powers = np.divide(logs[:-1] - logs[1:], at[:-1] - at[1:], out=np.ones(len(at) - 1), where=rises)
    first, last = np.clip([powers[0], powers[-1]] if len(powers) else [1.0, 1.0], *POWERS)
    found = {}
    for rank, share in shares.items():
        if share > at[0]:
            log = logs[0] + first * (share - at[0])
        elif share < at[-1]:
            log = logs[-1] + last * (share - at[-1])
        else:
            log = np.interp(-share, -at, logs)
        found[rank] = float(np.exp(log))
    return {**found, **known}


def _between(at_ranks: Mapping[int, float]) -> tuple[float, ...]:
    """The loss at rank 0, 1, ... of the highest, never rising, from `at_ranks`, ascending: by powers of the rank."""
    if not at_ranks:
        return (0.0,)  # the layer stays as it is
    ranks, values = [*at_ranks], [*at_ranks.values()]
    every = np.arange(ranks[-1] + 1)
    logs = np.interp(np.log(np.maximum(every, 0.5)), np.log(ranks), np.log(np.maximum(values, LEAST)))
    falling = np.maximum.accumulate(np.exp(logs)[::-1])[::-1]
    return tuple(np.where(falling > 1.01 * LEAST, falling, 0.0).tolist())
