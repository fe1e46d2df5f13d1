"""The order in which the units of recurrent layers go.

Units are ordered as those between linear layers are (`shrinkml.compression.units`), by what all matrices that multiply
them lose together; what a matrix loses counts as a share of what it gives. That sum is our own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from shrinkml.compression.calibration import LayerStats
from shrinkml.compression.factorizers import DAMPING, as_double, damped_cholesky, scatter_of
from shrinkml.compression.sites import Pairs, Site, WiredPairs, sites_by_layer
from shrinkml.compression.units import unit_order
from shrinkml.plan.layer_spec import Feed
from shrinkml.weights.decomposition import Decomposition


@dataclass(frozen=True, slots=True)
class UnitOrder:
    """The units of one direction of a recurrent layer.

    Attributes:
        units: most important first.
        added: the error that each of them keeps away, as a root.
        gates: rows for each of them.
    """

    units: Tensor
    added: Tensor
    gates: int

    @property
    def rows(self) -> Tensor:
        """Their rows, all of one after the other."""
        return rows_of_units(self.units, len(self.units), self.gates)


@torch.no_grad()
def unit_orders(model: nn.Module, pairs: Pairs, stats: Mapping[str, LayerStats]) -> dict[str, UnitOrder]:
    """Input matrix -> the order of its units, of all recurrent layers in `pairs` whose states are known.

    Args:
        model: that has those layers.
        pairs: of them, and perhaps of others.
        stats: of their states, and of the inputs of all that multiply their units, where these are known.

    Raises:
        CalibrationError: statistics that are not positive definite.
    """
    if not isinstance(pairs, WiredPairs):
        return {}
    sites = sites_by_layer(model)
    given = {layer: _energy(sites[layer], stats[layer]) for layer in sorted({*pairs.feeds, *pairs.values()} & {*stats})}
    known = {it: other for it, other in pairs.items() if sites[it].gates and other in stats}
    return {
        first: _ordered(first, sites, pairs, stats[second], given)
        for first, second in known.items()
        if not stats[second].is_silent
    }


def _energy(site: Site, stats: LayerStats) -> float:
    """The mean energy of what a matrix gives."""
    matrix, (scatter, _) = site.form.dense().double(), scatter_of(stats)
    return float((matrix @ scatter * matrix).sum()) / stats.n_frames


def _ordered(
    first: str, sites: Mapping[str, Site], pairs: WiredPairs, stats: LayerStats, given: Mapping[str, float]
) -> UnitOrder:
    """The units of the layer `first`."""
    second = sites[pairs[first]]
    scatter = scatter_of(stats)[0] if second.bias is not None else as_double(stats.gram, like=stats.total)
    damped_cholesky(scatter, stats.n_frames, DAMPING)  # leaves its ridge in it
    scatter /= stats.n_frames
    blocks = [(second, 0)]
    for layer, feeds in pairs.feeds.items():
        blocks += [(sites[layer], feed.first) for feed in feeds if feed.layer == first]
    weights = []
    for site, start in blocks:
        block = site.form.dense().double()[:, start : start + len(scatter)].to(scatter)
        energy = given.get(site.layer) or float((block @ scatter * block).sum())
        weights.append(block / max(energy, torch.finfo(block.dtype).tiny) ** 0.5)
    weight = torch.cat(weights)
    units = unit_order(weight, scatter)
    added = (weight[:, units] @ torch.linalg.cholesky(scatter[units][:, units])).norm(dim=0)
    return UnitOrder(units.cpu(), added.float().cpu(), sites[first].gates)


def with_units(
    found: Decomposition,
    layer: str,
    pairs: Pairs,
    orders: Mapping[str, UnitOrder],
    numbers: Mapping[str, int],
) -> Decomposition:
    """The decomposition `found` of `layer`, told which of its units go first, and what feeds its columns.

    Args:
        found: of a matrix.
        layer: its name.
        pairs: of the model.
        orders: of their units.
        numbers: of the layers of the model, in its order.
    """
    if not isinstance(pairs, WiredPairs):
        return found
    leader = next((it for it, second in pairs.items() if layer in (it, second) and it in orders), None)
    feeds = tuple(feed for feed in pairs.feeds.get(layer, ()) if feed.layer in orders)
    if leader is not None:
        of_leader = orders[leader]
        added = of_leader.added.repeat_interleave(of_leader.gates).to(found.singular_values)
        found = replace(found, order=of_leader.rows, added=added)
        feeds = feeds if layer == leader else (*feeds, Feed(leader, 0, len(of_leader.units), of_leader.gates))
    return replace(found, feeds=feeds_tensor(feeds, numbers)) if feeds else found


def numbered(model: nn.Module) -> dict[str, int]:
    """The number of each layer in the order of `model`."""
    return {layer: number for number, layer in enumerate(sites_by_layer(model))}


def feeds_tensor(feeds: Sequence[Feed], numbers: Mapping[str, int]) -> Tensor:
    """[n, 4], as decompositions hold `feeds`."""
    rows = [(numbers[feed.layer], feed.first, feed.units, feed.gates) for feed in feeds]
    return torch.tensor(rows, dtype=torch.long).view(-1, 4)


def rows_of_units(units: Tensor, n_units: int, gates: int) -> Tensor:
    """The rows of `units`, all of one after the other."""
    return (units[:, None] + n_units * torch.arange(gates)).flatten()
