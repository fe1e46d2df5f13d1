"""The expected losses of one layer from levers beside ranks: few bits, and zeros.

A few values of each are measured at the layer's present rank. What more bits lose follows from the power of the noise,
a quarter for each bit (Bennett 1948, Spectra of quantized signals); between shares of zeros, losses go by powers. Of a
lower rank with the lever pulled too, one is measured, the highest, which itself loses least: errors in two factors are
others than those in their product, and larger.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from agents.search.look.recalled_losses import RecalledLosses
from envs.levers import BITS, SPARSITIES
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan

LEAST = 1e-9  # nats per token; what is less is none
PER_BIT = 4.0  # times that the power of the noise grows with each bit less
TIMES = (1.0, 16.0)  # that two factors are expected to lose as much as their product, at least and at most

BESIDE_IDENTITY = ("bits",)  # levers that are pulled beside an identity block, too

LeverName = Literal["bits", "sparsity"]  # of a field of Choice
ByValue = Mapping[float, float]  # value of the field -> nats per token


class Measured(NamedTuple):
    """The values of a lever that are measured, and what follows from them.

    Attributes:
        values: that are measured at the present rank; the first one at a lower rank, too.
        all_of: makes of these losses those of every value.
    """

    values: tuple[float, ...]
    all_of: Callable[[ByValue], ByValue]


@dataclass(frozen=True, slots=True)
class LeverLosses:
    """The expected losses of one layer from one lever.

    Attributes:
        lever: the field of a choice that it sets.
        present: the choice that the losses were measured beside.
        at_values: value -> nats per token if the layer is changed in nothing else.
        times: identity block or none -> how many times as much it is if the rank is lowered, too.
    """

    lever: LeverName
    present: Choice
    at_values: ByValue
    times: Mapping[bool, float]

    def at(self, choice: Choice) -> float:
        """The loss that the lever adds in `choice`."""
        value = getattr(choice, self.lever)
        if value == getattr(self.present, self.lever):  # then the rank was measured with it
            return 0.0
        factorized = (choice.directions, choice.identity) != (self.present.directions, self.present.identity)
        return self.at_values[value] * (self.times.get(choice.identity, 1.0) if factorized else 1.0)


def all_lever_losses(
    measured: RecalledLosses, layer: str, choices: Sequence[Choice], lower: Sequence[Choice]
) -> tuple[LeverLosses, ...]:
    """Measure what each lever loses that is pulled in some of `choices`.

    Args:
        measured: losses of plans.
        layer: whose choices they are.
        choices: what may become of it, the present one last.
        lower: those that change its rank alone, ascending.
    """
    return tuple(_lever_losses(measured, layer, lever, choices, lower) for lever in MEASURED if _values(choices, lever))


def n_measured_of_levers(choices: Sequence[Choice], lower: Sequence[Choice]) -> int:
    """The losses that `all_lever_losses` measures."""
    found = 0
    for lever in MEASURED:
        values, kinds = _values(choices, lever), _kinds(choices, lever, lower)
        found += len(values) + (1 + len(kinds) if values and kinds else 0)
    return found


def _lever_losses(
    measured: RecalledLosses, layer: str, lever: LeverName, choices: Sequence[Choice], lower: Sequence[Choice]
) -> LeverLosses:
    def loss(choice: Choice) -> float:
        return measured.loss(CompressionPlan({layer: choice}))

    def pulled(choice: Choice, value: float) -> Choice:
        return replace(choice, **{lever: value})  # type: ignore[arg-type]  # of the field's type, as it is in MEASURED

    present, values = choices[-1], _values(choices, lever)
    beside = present if lever in BESIDE_IDENTITY else replace(present, identity=False)
    known = {value: loss(pulled(beside, value)) for value in values}
    first, kinds = values[0], _kinds(choices, lever, lower)
    times = dict.fromkeys(kinds, 1.0)
    if kinds and known[first] > LEAST:
        cut = lower[-1]
        whole = loss(cut)
        for identity in kinds:
            both = loss(pulled(replace(cut, identity=identity), first))
            times[identity] = float(np.clip((both - whole) / known[first], *TIMES))
    return LeverLosses(lever, present, MEASURED[lever].all_of(known), times)


def _values(choices: Sequence[Choice], lever: LeverName) -> list[float]:
    """The values of the field `lever` to be measured, of those that `choices` have beside the present one, the last."""
    there = {getattr(choice, lever) for choice in choices} - {getattr(choices[-1], lever)}
    return [value for value in MEASURED[lever].values if value in there]


def _kinds(choices: Sequence[Choice], lever: LeverName, lower: Sequence[Choice]) -> list[bool]:
    """Without an identity block and with one, where `choices` pull the lever so at a lower rank."""
    present = choices[-1]
    pulled = [it for it in choices if getattr(it, lever) != getattr(present, lever)]
    kinds = {it.identity for it in pulled if (it.directions, it.identity) != (present.directions, present.identity)}
    return sorted(kinds) if lower else []


def _of_bits(known: ByValue) -> ByValue:
    most = max(known)
    return {**{bits: known[most] * PER_BIT ** (most - bits) for bits in BITS if bits > most}, **known}


def _of_sparsities(known: ByValue) -> ByValue:
    shares = sorted(known)
    logs = np.log(np.maximum([known[share] for share in shares], LEAST))
    rising = np.maximum.accumulate(np.interp(SPARSITIES, shares, logs))
    return dict(zip(SPARSITIES, np.exp(rising).tolist(), strict=True))


# Of more bits, a loss on few utterances is mostly chance.
MEASURED: dict[LeverName, Measured] = {
    "bits": Measured((4, 3), _of_bits),
    "sparsity": Measured((0.7, 0.5, 0.9), _of_sparsities),
}
