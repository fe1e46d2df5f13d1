"""The proof that units of recurrent layers can be cut: without a few, a model does what it does with these at zero."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace

import torch
from torch import Tensor, nn

from shrinkml.compression.factorize import factorize
from shrinkml.compression.sites import WiredPairs, current_plan, find_layers, sites_by_layer
from shrinkml.compression.unit_flow.recurrent_decomposition import feeds_tensor, numbered, rows_of_units
from shrinkml.compression.unit_flow.unit_probe import Direction, Fed, wired
from shrinkml.errors import PlanError
from shrinkml.layers.adapters import ADAPTERS
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import Feed
from shrinkml.plan.wiring import wiring_of
from shrinkml.weights.decomposition import Decomposition

log = logging.getLogger(__name__)

TOLERANCE = 1e-4  # of the largest number: sums of other lengths are rounded in other ways
CANDIDATE = 2  # the gate that a state is made of, in torch's order of those of LSTMs and GRUs


def holds(model: nn.Module, directions: Sequence[Direction], fed: Fed, run: Callable[[], object]) -> bool:
    """True where the model without some units of `directions` does what it does with these at zero."""
    gone = {it.first.layer: torch.tensor([1, it.units - 1]) for it in directions}
    with _at_zero(directions, gone):
        expected = list(_tensors(run()))
    pairs = wired(directions, fed)
    plan = CompressionPlan({it.first.layer: Choice(outputs=it.first.gates * (it.units - 2)) for it in directions})
    plan = wiring_of(find_layers(model, pairs=pairs), current_plan(model)).completed(plan)
    try:
        with _swapped(model, factorize(model, plan, _untaught(model, directions, gone, pairs))):
            found = list(_tensors(run()))
    except (RuntimeError, ValueError, IndexError, PlanError) as error:  # sizes that do not fit, wherever they are seen
        log.debug("units of %s cannot be cut: %s", list(pairs), error)
        return False
    return len(found) == len(expected) and all(map(_alike, found, expected))


def _alike(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape:
        return False
    if not found.is_floating_point():
        return torch.equal(found, expected)
    most = float(expected.nan_to_num(0.0, 0.0, 0.0).abs().max()) if expected.numel() else 0.0
    return torch.allclose(found, expected, rtol=0.0, atol=TOLERANCE * max(1.0, most), equal_nan=True)


def _untaught(
    model: nn.Module, directions: Sequence[Direction], gone: Mapping[str, Tensor], pairs: WiredPairs
) -> dict[str, Decomposition]:
    """Decompositions that know nothing of inputs, and by which the units that are `gone` go first."""
    sites, numbers = sites_by_layer(model), numbered(model)
    orders: dict[str, Tensor] = {}
    for it in directions:
        stays = torch.ones(it.units, dtype=torch.bool)
        stays[gone[it.first.layer]] = False
        units = torch.cat((stays.nonzero().flatten(), gone[it.first.layer]))
        order = rows_of_units(units, it.units, it.first.gates)
        orders |= dict.fromkeys((it.first.layer, it.second.layer), order)
    found = {}
    for layer in {*orders, *pairs.feeds}:
        n_in = sites[layer].form.shape[1]
        feeds = feeds_tensor(_all_feeds(layer, directions, pairs), numbers)
        nothing = torch.zeros(n_in)
        bare = Decomposition(
            nothing.new_empty(0, 0), nothing.new_empty(0, n_in), nothing[:0], nothing[:0], nothing, nothing[:0, None]
        )
        found[layer] = replace(bare, order=orders.get(layer, bare.order), feeds=feeds)
    return found


def _all_feeds(layer: str, directions: Sequence[Direction], pairs: WiredPairs) -> tuple[Feed, ...]:
    """The units that feed columns of `layer`, its own too where they do."""
    own = [Feed(it.first.layer, 0, it.units, it.first.gates) for it in directions if it.second.layer == layer]
    return (*pairs.feeds.get(layer, ()), *own)


@contextmanager
def _at_zero(directions: Sequence[Direction], gone: Mapping[str, Tensor]) -> Iterator[None]:
    """Holds the units that are `gone` at zero: their candidate states are."""
    kept: list[tuple[Tensor, Tensor]] = []
    try:
        for it in directions:
            rows = CANDIDATE * it.units + gone[it.first.layer]
            for site in (it.first, it.second):
                biases = () if site.bias is None else (site.module.get_parameter(site.bias),)
                for part in (site.parameters[0], *biases):
                    kept.append((part, part.detach().clone()))
                    part[rows] = 0.0
        yield
    finally:
        for part, before in kept:
            part.copy_(before)


@contextmanager
def _swapped(model: nn.Module, small: nn.Module) -> Iterator[None]:
    """Puts the layers of `small` in the places of those of `model` that are others there."""
    places: list[tuple[nn.Module, str, nn.Module]] = []
    try:
        for path, module in list(model.named_modules(remove_duplicate=False)):
            other = small.get_submodule(path)
            if path and type(module) in ADAPTERS and (type(module), repr(module)) != (type(other), repr(other)):
                parent, _, name = path.rpartition(".")
                places.append((model.get_submodule(parent), name, module))
                places[-1][0]._modules[name] = other
        yield
    finally:
        for holder, name, module in places:
            holder._modules[name] = module


def _tensors(value: object) -> Iterator[Tensor]:
    """All tensors in what a run gave."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
    elif is_dataclass(value):
        for part in fields(value):
            yield from _tensors(getattr(value, part.name))
