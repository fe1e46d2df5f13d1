"""The order in which the units of a recurrent layer go, and what is known of the inputs of its matrices.

Units are ordered as those between linear layers are (`shrinkml.compression.units`), by what all matrices that multiply
them lose together; what a matrix loses counts as a share of what it gives. That sum is our own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from shrinkml.compression.calibration import LayerStats
from shrinkml.compression.factorizers import DAMPING, as_double, damped_cholesky, scatter_of
from shrinkml.compression.sites import Pairs, Site, WiredPairs, sites_by_layer
from shrinkml.compression.units import unit_order
from shrinkml.plan.layer_spec import Feed
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import floats_of


@torch.no_grad()
def energies(model: nn.Module, pairs: Pairs, stats: Mapping[str, LayerStats]) -> dict[str, float]:
    """Layer -> the mean energy of what it gives, of those that multiply units that may be cut.

    Args:
        model: with these layers.
        pairs: whose units may be cut.
        stats: of the inputs, where they are known.
    """
    if not isinstance(pairs, WiredPairs):
        return {}
    sites, found = sites_by_layer(model), {}
    for layer in {*pairs.feeds, *pairs.values()} & {*stats}:
        matrix = sites[layer].form.dense().double()
        scatter, _ = scatter_of(stats[layer])
        found[layer] = float((matrix @ scatter * matrix).sum()) / stats[layer].n_frames
    return found


@torch.no_grad()
def decompose_recurrent(
    model: nn.Module, pairs: Pairs, stats: Mapping[str, LayerStats], given: Mapping[str, float]
) -> Iterator[tuple[str, Decomposition]]:
    """The decompositions of both matrices of recurrent layers into units, made one by one.

    Layers that hear nothing, or whose state nothing is known of, are left out.

    Args:
        model: that has those layers.
        pairs: of them, and perhaps of others.
        stats: of their inputs, and of their states.
        given: `energies` of all that multiply their units.
    """
    if not isinstance(pairs, WiredPairs):
        return
    sites, numbers = sites_by_layer(model), numbered(model)
    for first, second in pairs.items():
        if sites[first].gates and second in stats and not stats[second].is_silent:
            order, added = _ordered(first, sites, pairs, stats[second], given)
            for layer in (first, second):
                site, gates = sites[layer], sites[first].gates
                mean, root = _inputs(site, stats.get(layer))
                own = () if layer == first else (Feed(first, 0, len(order), gates),)
                yield (
                    layer,
                    Decomposition(
                        up=mean.new_empty(site.form.shape[0], 0),
                        down=mean.new_empty(0, len(mean)),
                        singular_values=added.repeat_interleave(gates).to(mean),
                        means=mean.new_empty(0),
                        mean=mean,
                        root=root,
                        order=rows_of_units(order, len(order), gates),
                        feeds=feeds_tensor((*pairs.feeds.get(layer, ()), *own), numbers),
                    ),
                )


def _inputs(site: Site, stats: LayerStats | None) -> tuple[Tensor, Tensor]:
    """What a decomposition knows of the inputs of a matrix: their mean, and the root of their scatter."""
    zeros = torch.zeros_like(floats_of(site.form)[0])
    if stats is None:
        return zeros.new_zeros(site.form.shape[1]), zeros.new_empty(0, 0)
    scatter, mean = _scatter(site, stats)
    root = damped_cholesky(scatter, stats.n_frames, DAMPING)
    return mean.to(zeros), root.to(zeros)


def _scatter(site: Site, stats: LayerStats) -> tuple[Tensor, Tensor]:
    """The scatter of the inputs of a matrix about their mean, if a bias can take that over, and it."""
    if site.bias is not None:
        return scatter_of(stats)
    return as_double(stats.gram, like=stats.total), torch.zeros_like(stats.total, dtype=torch.float64)


def _ordered(
    first: str, sites: Mapping[str, Site], pairs: WiredPairs, stats: LayerStats, given: Mapping[str, float]
) -> tuple[Tensor, Tensor]:
    """The units of the layer `first`, most important first, and the error that each of them keeps away."""
    second = sites[pairs[first]]
    scatter, _ = _scatter(second, stats)
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
    order = unit_order(weight, scatter)
    added = (weight[:, order] @ torch.linalg.cholesky(scatter[order][:, order])).norm(dim=0)
    return order, added


def with_feeds(found: Decomposition, layer: str, pairs: Pairs, numbers: Mapping[str, int]) -> Decomposition:
    """The decomposition `found` of `layer`, told which of its columns units in `pairs` feed."""
    feeds = pairs.feeds.get(layer, ()) if isinstance(pairs, WiredPairs) else ()
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
