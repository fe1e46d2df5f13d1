"""The price list of a job in the resource that it saves: measured once, and read from its folder ever after."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.pipeline.materials import Materials
from agents.search.interruptible import Interruptible
from agents.search.make_problem import RANKS_ALONE, cheapest_choices, cheapest_plan, check_reachable
from envs.menus import Menu, build_menus, unit_menu
from shrinkml.compression.sites import current_plan, model_cost
from shrinkml.measure.latency import latency_prices
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import PriceList, Resource, byte_prices, mac_prices, parameter_prices
from shrinkml.storage import checkpoint

PRICES = "prices.json"
COUNTED: tuple[Resource, ...] = ("parameters", "bytes")  # from shapes alone; others are measured, in a stage
N_TIMED = 8  # utterances that layers are timed on


@dataclass(frozen=True, slots=True)
class Priced:
    """The prices of the original and of its cheapest plan.

    Attributes:
        resource: that the goal counts.
        original: of the original.
        cheapest: of the cheapest plan.
        left_alone: layers with nothing to save.
    """

    resource: Resource
    original: int
    cheapest: int
    left_alone: Sequence[str]


def price_list(
    materials: Materials, resource: Resource, left: Collection[str] = (), levers: Collection[str] = RANKS_ALONE
) -> PriceList:
    """Prices of plans of the original that change no layer that is `left`; ratios count from it as it is.

    Args:
        materials: the original and the speech.
        resource: that is counted.
        left: names of layers that stay as they are.
        levers: that plans may pull, of those that have to be measured for that.
    """
    return PRICE_LISTS[resource](materials, left, levers)


def parameters_of(
    materials: Materials, start: AsrModel, left: Collection[str] = (), levers: Collection[str] = RANKS_ALONE
) -> PriceList:
    """Prices of plans of `start` in parameters; ratios count from the original."""
    branches = materials.branches(start, levers, left)
    prices = parameter_prices(model_cost(start.module, branches=branches), current_plan(start.module))
    return replace(prices, original=price_list(materials, "parameters").original)


def menus_of(materials: Materials, left: Collection[str] = ()) -> dict[str, Menu]:
    """The ranks that the layers of the original may get, whatever they save; one where a layer is `left`."""
    module = materials.model.module
    return build_menus(model_cost(module).layers, current_ranks=current_plan(module), left=left)


def write_prices(
    materials: Materials,
    resource: Resource,
    folder: Path,
    *,
    ratio: float,
    levers: Collection[str] = RANKS_ALONE,
    left: Collection[str] = (),
) -> Priced:
    """Writes the price list to `folder`: what the original costs, and which layers have nothing to save.

    Args:
        materials: the original and the speech.
        resource: that is counted.
        folder: exists.
        ratio: that plans must reach.
        levers: names in LEVERS.
        left: names of layers that stay as they are.

    Raises:
        PlanError: no plan is `ratio` times cheaper than the original.
    """
    prices, everything = price_list(materials, resource, left, levers), menus_of(materials, left)
    module = materials.model.module
    pairs = materials.unit_pairs(materials.model, levers, left)
    branches = materials.branches(materials.model, levers, left)
    choices, wiring = cheapest_choices(module, prices, levers, pairs, left=left, branches=branches)
    check_reachable(prices, choices, ratio=ratio, n_left=len(left), wiring=wiring)
    (folder / PRICES).write_text(json.dumps(prices.to_json()))
    return Priced(
        resource=resource,
        original=prices.original,
        cheapest=prices.price(cheapest_plan(choices, wiring)),
        left_alone=[name for name, options in choices.items() if len(options) == 1 < len(everything.get(name, ()))],
    )


def read_prices(folder: Path) -> PriceList:
    """The price list that `write_prices` wrote."""
    return PriceList.from_json(json.loads((folder / PRICES).read_text()))


def _parameters(materials: Materials, *asked: Collection[str]) -> PriceList:
    return parameter_prices(_cost(materials, *asked), current_plan(materials.model.module))


def _bytes(materials: Materials, *asked: Collection[str]) -> PriceList:
    return byte_prices(_cost(materials, *asked, bits=materials.stored_bits), materials.original_bytes)


def _macs(materials: Materials, *asked: Collection[str]) -> PriceList:
    return mac_prices(_cost(materials, *asked, calls_per_s=materials.calls_per_s), current_plan(materials.model.module))


def _cost(materials: Materials, left: Collection[str], levers: Collection[str], **known: Any) -> ModelCost:
    """The cost of the original under any plan, with the branches that plans may drop."""
    branches = materials.branches(materials.model, levers, left)
    return model_cost(materials.model.module, branches=branches, **known)


def _latency(materials: Materials, left: Collection[str], levers: Collection[str]) -> PriceList:
    """Timed on the CPU, on the first utterances of those that the final speed is measured on.

    A branch that is dropped saves the time of its layers; what it takes beside them is not told apart from all else.
    """
    timed = materials.proxy.subset(range(min(N_TIMED, len(materials.proxy))))
    pairs = materials.unit_pairs(materials.model, levers, left)
    present = current_plan(materials.model.module)
    prices = latency_prices(
        Interruptible(checkpoint.load(materials.original), materials.should_stop),
        timed.features,
        timed.audio_s,
        menus_of(materials, left),
        units={
            layer.name: unit_menu((present.choice(layer.name).outputs or layer.out_features) // layer.gates)
            for layer in model_cost(materials.model.module).layers
            if layer.name in pairs
        },
        pairs=pairs,
        should_stop=materials.should_stop,
    )
    return prices.with_branches(_cost(materials, left, levers).branches, lambda _: 0)


PRICE_LISTS: dict[Resource, Callable[[Materials, Collection[str], Collection[str]], PriceList]] = {
    "parameters": _parameters,
    "bytes": _bytes,
    "macs": _macs,
    "latency": _latency,
}
