"""Recurrent layers whose hidden units may be cut: those whose outputs are multiplied by matrices alone.

A unit of an LSTM or a GRU is a row of each gate, a column of the recurrent matrix, and a column of every matrix that
multiplies the outputs. Which those are is seen (`unit_probe`) and then proved (`unit_proof`). So a layer is left whose
outputs go anywhere else: added to something, normalised, or handed out as they are.
"""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from shrinkml.compression.sites import Site, WiredPairs, find_sites
from shrinkml.compression.unit_flow.unit_probe import Direction, Fed, blocks, columns_fed, find_directions, wired
from shrinkml.compression.unit_flow.unit_proof import holds

FEWEST = 4  # units of a layer of which some may be cut


@torch.no_grad()
def find_recurrent_units(model: nn.Module, run: Callable[[], object]) -> WiredPairs:
    """The directions of recurrent layers of `model` whose units may be cut, and why those of the others may not.

    Input matrix -> recurrent matrix, with the columns that the units feed elsewhere.

    Args:
        model: in eval; it is the same afterwards.
        run: lets the model work, always on the same, and returns what it gave.
    """
    directions = find_directions(model)
    if not directions:
        return WiredPairs({}, {})
    fed, sites = columns_fed(model, directions, run), _sites_of_layers(model)
    why_not: dict[str, str] = {}
    for it in directions:
        if reason := _why_not(it, fed, sites):
            why_not[it.first.layer] = reason
    ready = [it for it in directions if it.first.layer not in why_not]
    if ready and not holds(model, ready, fed, run):
        for it in ready:
            if not holds(model, [it], fed, run):
                why_not[it.first.layer] = "its outputs go elsewhere than into linear and recurrent layers"
    found = wired([it for it in ready if it.first.layer not in why_not], fed)
    return WiredPairs(found, found.feeds, why_not)


def _sites_of_layers(model: nn.Module) -> dict[str, list[Site]]:
    found: dict[str, list[Site]] = {}
    for site in find_sites(model):
        found.setdefault(site.layer, []).append(site)
    return found


def _why_not(direction: Direction, fed: Fed, sites: Mapping[str, list[Site]]) -> str | None:
    """A reason that can be seen without trying."""
    pair = direction.first, direction.second
    if direction.units < FEWEST:
        return f"it has {direction.units} units"
    if any(site.form.choice.rank is not None or site.form.choice.sparsity for site in pair):
        return "its matrices are factorized or sparse"
    if any(len(sites[site.layer]) > 1 for site in pair):
        return "its matrices are tied to those of another layer"
    taken = {layer for layer, _ in blocks(direction, fed)}
    if not taken:
        return "no matrix was seen to multiply its outputs alone"
    for layer in taken:
        numbers, expected = fed[layer], torch.tensor(direction.numbers)
        firsts = (numbers == direction.number).nonzero().flatten().tolist()
        whole = all(torch.equal(numbers[first : first + direction.units], expected) for first in firsts)
        n_fed = int(((numbers >= expected[0]) & (numbers <= expected[-1])).sum())
        if not whole or n_fed != len(firsts) * direction.units:
            return f"{layer} multiplies its units in another order"
        if not all(site.cuts_units or site.gates for site in sites[layer]):
            return f"{layer} is no linear or recurrent layer"
    return None
