"""The expected loss of each layer alone under its choices: what searches know before they begin.

It is the Kullback-Leibler divergence of the original's scores from those with one layer cut, fed the same transcripts,
over the number of their tokens. Unlike the energy of a spectrum it is counted in nats per token for every layer, so
that layers can be compared; unlike a WER it is smooth: a few utterances tell it well.

A few ranks of each layer are measured. The loss of the others follows from the energy that they leave out of its
output, which every decomposition tells: it goes by a power of that, for each layer its own. The rule is our own. By the
rank itself it would be blind to where a spectrum ends.

Levers are measured one by one, and their losses added up: a lower rank, and few bits at the present rank. Of both at
once one rank is measured, for the noise of two rounded factors is another than that of their product. What more bits
lose than were measured follows from the power of the noise, a quarter for each bit (Bennett 1948, Spectra of quantized
signals).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from agents.search.look.effort import measured_ranks
from agents.search.look.recalled_losses import RecalledLosses
from envs.levers import BITS, Choices
from envs.menus import Menu
from envs.rank_options import loss_at
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.training.dataset import Dataset

LeftOut = Callable[[str, int], float]  # layer and rank -> share of the energy of its output that is lost

LEAST = 1e-9  # nats per utterance; what is less is none
MEASURED_BITS = (4, 3)  # of more, a loss on few utterances is mostly chance
PER_BIT = 4.0  # times that the power of the noise grows with each bit less
LEAST_SHARE = 1e-7  # of the energy of a layer; what is less is rounding
POWERS = (0.25, 2.0)  # of the energy left out that losses go by, at least and at most, beyond the measured ranks
MOST_TIMES = 16.0  # that two factors in few bits are expected to lose as much as their product, at most


@dataclass(frozen=True, slots=True)
class RoundingLosses:
    """The expected losses of one layer from weights of few bits.

    Attributes:
        present: the choice that they were measured beside.
        at_bits: bits -> nats per token if the layer is rounded as it is.
        times: identity block or none -> how many times as much it is if the rank is lowered, too.
    """

    present: Choice
    at_bits: Mapping[int, float]
    times: Mapping[bool, float]

    def at(self, choice: Choice) -> float:
        """The loss that the bits of `choice` add."""
        if choice.bits is None or choice.bits == self.present.bits:  # then the rank was measured with those bits
            return 0.0
        factorized = (choice.rank, choice.identity) != (self.present.rank, self.present.identity)
        return self.at_bits[choice.bits] * (self.times[choice.identity] if factorized else 1.0)


@dataclass(frozen=True, slots=True)
class LayerLosses:
    """The expected losses of the layers of a model.

    Attributes:
        curves: layer -> nats per token if it alone is cut to rank 0, 1, ... of its menu's highest, never rising.
        tokens_per_utterance: of the speech that they were measured on.
        roundings: layer -> what few bits lose, of the layers whose choices differ in bits.
        times: layer -> what all of its losses are to be multiplied with, where that is not 1.
    """

    curves: Mapping[str, tuple[float, ...]]
    tokens_per_utterance: float
    roundings: Mapping[str, RoundingLosses] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)

    def at(self, layer: str, choice: Choice) -> float:
        """The nats per token that are lost if `layer` alone is under `choice`."""
        loss = loss_at(self.curves[layer], choice.rank)
        if layer in self.roundings:
            loss += self.roundings[layer].at(choice)
        return loss * self.times.get(layer, 1.0)


def few_of(speech: Dataset, n: int) -> Dataset:
    """At most `n` utterances, spread over all."""
    return speech.subset(np.unique(np.linspace(0, len(speech) - 1, n).astype(int)).tolist())


def by_rank(choices: Sequence[Choice]) -> dict[int, Choice]:
    """Rank -> the choice of `choices` that changes it alone, ascending; of two, the one of whole factors."""
    present = choices[-1]
    alone = [it for it in choices[:-1] if it.bits == present.bits and it.rank not in (None, present.rank)]
    alone.sort(key=lambda choice: (choice.rank or 0, not choice.identity))
    return {choice.rank: choice for choice in alone if choice.rank is not None}


def menu_of(choices: Sequence[Choice]) -> Menu:
    """The ranks that `choices` give, and the present one, last."""
    return (*by_rank(choices), choices[-1].rank)


def rounds(choices: Sequence[Choice]) -> bool:
    """True where some of `choices` have fewer bits than the present one, the last."""
    return any(choice.bits != choices[-1].bits for choice in choices)


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
    roundings = {
        layer: _rounding_losses(measured, layer, options) for layer, options in choices.items() if rounds(options)
    }
    return LayerLosses(curves, tokens_per_utterance, roundings)


def n_measured(choices: Sequence[Choice], n_ranks: int) -> int:
    """The losses of a layer of those `choices` that `layer_losses` measures."""
    lower = menu_of(choices)[:-1]
    n_roundings = len(MEASURED_BITS) + 3 * bool(lower)
    return len(measured_ranks(lower, n_ranks)) + (n_roundings if rounds(choices) else 0)


def _rounding_losses(measured: RecalledLosses, layer: str, choices: Sequence[Choice]) -> RoundingLosses:
    present, ranks = choices[-1], [*by_rank(choices).values()]

    def loss(choice: Choice) -> float:
        return measured.loss(CompressionPlan({layer: choice}))

    known = {bits: loss(replace(present, bits=bits)) for bits in MEASURED_BITS}
    bits = max(known)
    at_bits = {**{more: known[bits] * PER_BIT ** (bits - more) for more in BITS if more > bits}, **known}
    times = {False: 1.0, True: 1.0}
    if ranks and known[bits] > LEAST:
        cut = ranks[len(ranks) // 2]
        whole = loss(cut)
        for identity in times:
            both = loss(replace(cut, bits=bits, identity=identity))
            times[identity] = float(np.clip((both - whole) / known[bits], 1 / MOST_TIMES, MOST_TIMES))
    return RoundingLosses(present, at_bits, times)


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
