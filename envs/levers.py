"""Levers: the ways in which the matrix at a site can become smaller, and the choices that several of them make.

A lever makes more choices of each one that there is, so that any of them together make every combination.

Units are cut of two matrices at once: of one whose record names a follower, which then has the choice that follows. For
both of them ranks and zeros are left out: a block is narrower, or its matrices are factorized. Of recurrent layers more
matrices multiply the units: these have choices of their own, and fewer columns (`shrinkml.plan.wiring`).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from envs.menus import check_known, rank_menu, unit_menu
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.prices import PriceList

BITS = (8, 6, 5, 4, 3)  # that weights are rounded to; of two bits, a quarter of a matrix would be noise
SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.9)  # below a half, fewer bits save as much and lose less

UNITS = "units"  # the lever that needs pairs of layers to be known (`shrinkml.compression.unit_pairs`)

Choices = Mapping[str, tuple[Choice, ...]]  # site -> what may become of it, last as it is
Lever = Callable[[LayerSpec, Choice], Iterator[Choice]]


def fewer_units(layer: LayerSpec, choice: Choice) -> Iterator[Choice]:
    """Fewer units, of a layer that has a follower."""
    if layer.follower is not None:
        units = (choice.outputs or layer.out_features) // layer.gates
        yield from (replace(choice, outputs=left * layer.gates) for left in unit_menu(units))


def _keeps_units(layer: LayerSpec, choice: Choice) -> bool:
    return layer.follower is None and choice.outputs is None


def lower_ranks(layer: LayerSpec, choice: Choice) -> Iterator[Choice]:
    """Lower ranks, as two whole factors."""
    if _keeps_units(layer, choice):
        yield from (replace(choice, rank=rank, identity=False) for rank in rank_menu(layer, choice.rank)[:-1])


def identity_blocks(layer: LayerSpec, choice: Choice) -> Iterator[Choice]:
    """The same rank with an identity block; of a dense matrix also ranks at which two whole factors save nothing.

    Not of a sparse one: a block of ones and zeros takes no weights there either.
    """
    if choice.sparsity or not _keeps_units(layer, choice):
        return
    ranks = (choice.rank,) if choice.rank else rank_menu(layer, None, highest=layer.max_rank)[:-1]
    yield from (replace(choice, rank=rank, identity=True) for rank in ranks if rank and rank < layer.out_features)


def fewer_bits(layer: LayerSpec, choice: Choice) -> Iterator[Choice]:
    """The same with weights of fewer bits."""
    yield from (replace(choice, bits=bits) for bits in BITS if bits < (choice.bits or layer.bits))


def more_zeros(layer: LayerSpec, choice: Choice) -> Iterator[Choice]:
    """The same with fewer weights that are not zero, in each factor; not beside an identity block."""
    if not choice.identity and _keeps_units(layer, choice):
        yield from (replace(choice, sparsity=share) for share in SPARSITIES if share > choice.sparsity)


LEVERS: dict[str, Lever] = {
    UNITS: fewer_units,
    "rank": lower_ranks,
    "identity": identity_blocks,
    "bits": fewer_bits,
    "sparsity": more_zeros,
}


def pulled(layer: LayerSpec, present: Choice, levers: Collection[str]) -> tuple[Choice, ...]:
    """The choices that `levers` make together of the `present` one of `layer`, which is the last."""
    found = [present]
    for name, lever in LEVERS.items():
        if name in levers:
            found += [more for choice in tuple(found) for more in lever(layer, choice)]
    return (*(choice for choice in dict.fromkeys(found) if choice != present), present)


def cheaper_choices(
    layers: Sequence[LayerSpec],
    present: CompressionPlan,
    levers: Collection[str],
    prices: PriceList,
    *,
    left: Collection[str] = (),
) -> Choices:
    """Layer -> the choices that `levers` make and that save something, ascending in price; the present one last.

    Those of a follower are what follows from those of its layer, one by one.

    Args:
        layers: the model's matrices.
        present: the plan that the model is under.
        levers: names in LEVERS.
        prices: of the choices.
        left: names of layers that stay as they are.

    Raises:
        PlanError: `present` names a layer that is not in `layers`.
    """
    check_known(present, layers)
    followers = {layer.follower for layer in layers}
    found = {}
    for layer in layers:
        if layer.name in followers:
            continue
        *others, last = pulled(layer, present.choice(layer.name), () if layer.name in left else levers)
        price = partial(price_with_follower, layer, prices)
        found[layer.name] = (*sorted((it for it in others if price(it) < price(last)), key=price), last)
        if layer.follower is not None:
            found[layer.follower] = tuple(choice.followed(layer.gates) for choice in found[layer.name])
    return found


def price_with_follower(layer: LayerSpec, prices: PriceList, choice: Choice) -> int:
    """The price of `layer` under `choice`, and of its follower, if it has one, under what follows."""
    alone = prices.sites[layer.name].at(choice)
    return alone if layer.follower is None else alone + prices.sites[layer.follower].at(choice.followed(layer.gates))
