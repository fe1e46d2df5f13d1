"""A toy whose decisions are of several ways: ranks, the front of ranks, bits and sparsity, keeping a module or not.

It is counted in bytes. What a choice keeps of a matrix is a made-up rule, about as real ones are: rounding to b bits
adds noise of 4^-b of the energy, times a constant, and the smallest weights hold little energy.
"""

from collections.abc import Iterable
from itertools import product

import numpy as np

from envs.decision import Decision, Option, front
from envs.menus import Menu, build_menus
from envs.problem import CompressionProblem
from envs.rank_options import retained_energy
from envs.toys.rank_toys import small_layers, spectra
from envs.toys.toy import BASE_WER, Toy
from shrinkml.plan.choice import DENSE, DROPPED, Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import NOTHING, Cost
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.prices import PriceList
from shrinkml.plan.site_prices import LEAST, SitePrices

SEED = 7
RATIO = 6.0  # of bytes
SCALE = 0.5  # of word losses
MENU_STEPS = 4
BITS = (4, 8, None)
SPARSITIES = (0.0, 0.5)
ROUNDING = 2.0  # noise of b bits is this times 4^-b of the energy
MODULE_COST = Cost(3000, 12_000)
MODULE_LOSS = 0.1  # words lost without the module


def mixed() -> Toy:
    """Four matrices of which a choice is rank, bits and sparsity, two of ranks alone, and a module that may go."""
    layers, rng = small_layers(), np.random.default_rng(SEED)
    found = spectra(layers, rng)
    menus = build_menus(layers, current_ranks=CompressionPlan(), steps=MENU_STEPS)
    sites = [
        _decision(layer, found[layer.name], _choices(menus[layer.name]) if i < 4 else _ranks(menus[layer.name]))
        for i, layer in enumerate(layers)
    ]
    decisions = (*sites[:3], _module(), *sites[3:])
    prices = _prices(decisions)
    problem = CompressionProblem(decisions, NOTHING, prices, RATIO, BASE_WER)
    sensitivities = SCALE * rng.lognormal(0.0, 0.8, len(layers))
    losses = [
        tuple(float(sensitivity) * (1.0 - option.retained_energy) ** 2 for option in decision.options)
        for decision, sensitivity in zip(sites, sensitivities, strict=True)
    ]
    return Toy(problem, (*losses[:3], (MODULE_LOSS, 0.0), *losses[3:]))


def _ranks(menu: Menu) -> list[Choice]:
    return [Choice(rank=rank) for rank in menu]


def _choices(menu: Menu) -> list[Choice]:
    return [Choice(*chosen) for chosen in product(menu, BITS, SPARSITIES)]


def _decision(layer: LayerSpec, spectrum: tuple[float, ...], choices: Iterable[Choice]) -> Decision:
    options = front(_option(layer, spectrum, choice) for choice in choices)
    return Decision(layer.name, layer.kind, (layer.out_features, layer.in_features), options)


def _option(layer: LayerSpec, spectrum: tuple[float, ...], choice: Choice) -> Option:
    cost = layer.cost_at(choice)
    (by_rank,) = retained_energy(spectrum, (choice.rank,))
    by_bits = 1.0 if choice.bits is None else 1.0 - ROUNDING * 4.0**-choice.bits
    return Option(choice, cost, cost.bytes, by_rank * by_bits * (1.0 - choice.sparsity**4))


def _module() -> Decision:
    options = (Option(DROPPED, NOTHING, LEAST, 0.0), Option(DENSE, MODULE_COST, MODULE_COST.bytes, 1.0))
    return Decision("block", "module", (64, 64), options)


def _prices(decisions: Iterable[Decision]) -> PriceList:
    sites = {
        decision.name: SitePrices((), (), decision.options[-1].price, _by_choice(decision)) for decision in decisions
    }
    return PriceList("bytes", sites, other=0, original=sum(prices.dense for prices in sites.values()))


def _by_choice(decision: Decision) -> dict[Choice, int]:
    return {option.choice: option.price for option in decision.options}
