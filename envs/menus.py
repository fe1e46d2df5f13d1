"""Menus of the ranks that a layer may get, short ones, so that a search chooses among entries instead of integers.

A menu is geometric, because what a layer loses depends on its rank by factors, not by differences. It ends where a
smaller layer stops being smaller: dense for a dense layer, the present rank for one that is already factorized.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.prices import PriceList
from shrinkml.plan.site_prices import Prices

MENU_STEPS = 24  # neighbours differ by about 1.2 in size; 12 were so coarse that searches came to an end of plans
STRONGEST_COMPRESSION = 64  # of a dense layer at its first entry, so that whole models can become more than 24x smaller
MULTIPLE_OF = 8  # that ranks are rounded to, as kernels like it
FACTORIZED_SPAN = 4  # a factorized layer's first entry is at most a quarter of its present rank

Menu = tuple[int | None, ...]


def build_menus(
    layers: Sequence[LayerSpec],
    *,
    current_ranks: CompressionPlan,
    left: Collection[str] = (),
    steps: int = MENU_STEPS,
    multiple_of: int = MULTIPLE_OF,
) -> dict[str, Menu]:
    """A menu per layer: ascending ranks, then None (dense) where the layer is dense now.

    Args:
        layers: the model's factorizable matrices.
        current_ranks: the plan that the model is under; a factorized layer can only get its rank or a lower one.
        left: names of layers that stay as they are: their menus have one entry.
        steps: entries of a menu, at most; small layers have fewer.
        multiple_of: ranks are rounded to it, as kernels like it; ranks below four times that to a half of it, and so
            on.

    Raises:
        PlanError: `current_ranks` names a layer that is not in `layers`, or makes a choice that is no rank.
    """
    check_known(current_ranks, layers)
    for name, choice in current_ranks:
        if choice != Choice(rank=choice.rank):
            raise PlanError(
                f"layer {name!r} has the choice {choice.to_json()}, which a menu of ranks would undo; "
                "allowed: a rank alone"
            )
    ranks = {layer.name: current_ranks.choice(layer.name).rank for layer in layers}
    return {
        layer.name: (ranks[layer.name],)
        if layer.name in left
        else rank_menu(layer, ranks[layer.name], steps=steps, multiple_of=multiple_of)
        for layer in layers
    }


def check_known(plan: CompressionPlan, layers: Sequence[LayerSpec]) -> None:
    """Check that `plan` is one of a model with those `layers`.

    Raises:
        PlanError: it names a layer that is not among them.
    """
    unknown = {name for name, _ in plan} - {layer.name for layer in layers}
    if unknown:
        raise PlanError(f"current ranks of layers that the model lacks: {', '.join(sorted(unknown))}")


def worthwhile(menus: Mapping[str, Menu], prices: PriceList) -> dict[str, Menu]:
    """`menus` without the entries that cost as much as one of more rank: they lose accuracy and save nothing.

    Counted in parameters, none do. Counted in time, a layer may even be slower factorized, and stays dense.
    """
    return {name: _ascending(menu, prices.sites[name]) for name, menu in menus.items()}


def _ascending(menu: Menu, prices: Prices) -> Menu:
    kept = [menu[-1]]
    for rank in reversed(menu[:-1]):
        if prices.at(Choice(rank=rank)) < prices.at(Choice(rank=kept[-1])):
            kept.append(rank)
    return tuple(reversed(kept))


def rank_menu(
    layer: LayerSpec,
    current: int | None,
    *,
    highest: int | None = None,
    steps: int = MENU_STEPS,
    multiple_of: int = MULTIPLE_OF,
) -> Menu:
    """The menu of one layer, whose rank is `current`.

    Args:
        layer: a matrix.
        current: its rank; None where it is dense.
        highest: below which its ranks lie where it is dense: the last that saves weights, if absent.
        steps: entries, at most.
        multiple_of: see `build_menus`.
    """
    highest = (highest or layer.break_even_rank) if current is None else current
    if highest < 1:
        return (None,)
    lowest = max(1.0, layer.break_even_rank / STRONGEST_COMPRESSION)
    if current is not None:
        lowest = max(1.0, min(lowest, current / FACTORIZED_SPAN))
    below = np.geomspace(lowest, highest, steps)[:-1]
    ranks = sorted({_rounded(float(rank), multiple_of) for rank in below})
    return (*(rank for rank in ranks if rank < highest), current)


def unit_menu(n_units: int, *, steps: int = MENU_STEPS, multiple_of: int = MULTIPLE_OF) -> tuple[int, ...]:
    """Numbers of units that may be left of `n_units`, ascending, all below it; rounded as ranks are."""
    below = np.geomspace(max(1.0, n_units / STRONGEST_COMPRESSION), n_units, steps)[:-1]
    numbers = sorted({_rounded(float(number), multiple_of) for number in below})
    return tuple(number for number in numbers if number < n_units)


def _rounded(rank: float, multiple_of: int) -> int:
    """The nearest multiple of `multiple_of`, halved until rounding moves a rank by an eighth at most."""
    while multiple_of > 1 and multiple_of > rank / 4:
        multiple_of //= 2
    return max(1, round(rank / multiple_of)) * multiple_of
