"""The way of the outputs of recurrent layers: the columns of matrices that each of their units feeds, and no other.

A model is run several times, and each time half of all units are silenced in the outputs of their layers: those whose
number has a one in one of its bits, then those that have a zero there. A column that one unit feeds alone is silent in
one of both runs of every bit, which spells the number of the unit. So paddings, joined frames, concatenations and
attention are seen through, whatever they are called. A column that is a mixture of units is silent in neither.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from shrinkml.compression.calibration import observed
from shrinkml.compression.sites import Site, WiredPairs, find_sites
from shrinkml.plan.layer_spec import Feed

NOBODY = -1  # feeds a column alone
Fed = Mapping[str, Tensor]  # layer -> the number of the unit that feeds each of its columns, or NOBODY


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a recurrent layer, or a cell.

    Attributes:
        first: its input matrix.
        second: its recurrent matrix.
        outputs: True where the outputs of its module are its units; an inner layer of a stack has none.
        offset: of its units in the outputs of its module.
        number: of its first unit among all units of the model.
    """

    first: Site
    second: Site
    outputs: bool
    offset: int
    number: int

    @property
    def units(self) -> int:
        """That it has now."""
        return self.second.form.shape[1]

    @property
    def numbers(self) -> range:
        """Of its units."""
        return range(self.number, self.number + self.units)


def find_directions(model: nn.Module) -> list[Direction]:
    """The directions of all recurrent layers of `model`, in its order."""
    found: list[Direction] = []
    sites = {(site.module, site.name): site for site in find_sites(model)}
    offsets: dict[tuple[nn.Module, int], int] = {}
    for (module, name), first in sites.items():
        if not (first.gates and name.startswith("weight_ih")):
            continue
        second = sites.get((module, name.replace("_ih", "_hh")))
        if second is None or any(first.module is it.first.module and name == it.first.name for it in found):
            continue
        layer = _layer_of(name)
        offset, number = offsets.get((module, layer), 0), found[-1].numbers.stop if found else 0
        direction = Direction(first, second, layer == getattr(module, "num_layers", 1) - 1, offset, number)
        offsets[module, layer] = offset + direction.units
        found.append(direction)
    return found


@torch.no_grad()
def columns_fed(model: nn.Module, directions: Sequence[Direction], run: Callable[[], object]) -> Fed:
    """The columns of each matrix of `model` that units of `directions` feed.

    Args:
        model: in eval; it is the same afterwards.
        directions: of all of its recurrent layers.
        run: lets the model work, always on the same.
    """
    n_units = directions[-1].numbers.stop
    heard = _heard(model, directions, run, torch.ones(n_units, dtype=torch.bool))
    numbers = torch.arange(n_units)
    code = {layer: torch.zeros(len(alive), dtype=torch.long) for layer, alive in heard.items()}
    alone = {layer: alive.clone() for layer, alive in heard.items()}
    for bit in range(max(1, (n_units - 1).bit_length())):
        is_one = (numbers >> bit & 1).bool()
        without = [_heard(model, directions, run, kept) for kept in (~is_one, is_one)]  # ones, then zeros silenced
        for layer, alive in heard.items():
            one, zero = (alive & ~found.get(layer, ~alive) for found in without)
            code[layer] += one.long() << bit
            alone[layer] &= one ^ zero
    found = {layer: torch.where(alone[layer], code[layer], NOBODY) for layer in code}
    _wire_stacks_(found, directions)
    return {layer: numbers for layer, numbers in found.items() if bool((numbers != NOBODY).any())}


def wired(directions: Sequence[Direction], fed: Fed) -> WiredPairs:
    """The pairs of `directions`, and the columns that their units feed elsewhere."""
    feeds: dict[str, tuple[Feed, ...]] = {}
    for it in directions:
        for layer, first in blocks(it, fed):
            feed = Feed(it.first.layer, first, it.units, it.first.gates)
            feeds[layer] = (*feeds.get(layer, ()), feed)
    return WiredPairs({it.first.layer: it.second.layer for it in directions}, feeds)


def blocks(direction: Direction, fed: Fed) -> list[tuple[str, int]]:
    """The matrices with columns that the units of `direction` feed, and the first of each block of these."""
    found = []
    for layer, numbers in fed.items():
        if layer != direction.second.layer:
            found += [(layer, first) for first in (numbers == direction.number).nonzero().flatten().tolist()]
    return found


def _wire_stacks_(found: dict[str, Tensor], directions: Sequence[Direction]) -> None:
    """Notes the columns between the layers of one stack, which only the stack itself sees."""
    for taker in directions:
        for giver in directions:
            follows = _layer_of(taker.first.name) == _layer_of(giver.first.name) + 1
            if taker.first.module is giver.first.module and follows:
                fed = found.setdefault(taker.first.layer, torch.full((taker.first.form.shape[1],), NOBODY))
                fed[giver.offset : giver.offset + giver.units] = torch.tensor(giver.numbers)


def _heard(
    model: nn.Module, directions: Sequence[Direction], run: Callable[[], object], kept: Tensor
) -> dict[str, Tensor]:
    """Layer -> which of its columns are not always 0 while all units but those `kept` are silenced."""
    alive: dict[str, Tensor] = {}
    inner = {it.second.layer for it in directions if it.second.name != "weight_hh"}

    def observe(layer: str, x: Tensor) -> None:
        now = (x != 0).any(0).cpu()
        alive[layer] = alive[layer] | now if layer in alive else now

    with observed(model, observe, inner), _silenced(directions, kept):
        run()
    return alive


@contextmanager
def _silenced(directions: Sequence[Direction], kept: Tensor) -> Iterator[None]:
    masks: dict[nn.Module, list[Tensor]] = {}
    for it in directions:
        if it.outputs:
            masks.setdefault(it.first.module, []).append(kept[it.number : it.number + it.units])
    with ExitStack() as hooks:
        for module, parts in masks.items():
            hooks.enter_context(_hook(module, torch.cat(parts)))
        yield


def _hook(module: nn.Module, kept: Tensor) -> Any:
    """Silences the units of the outputs of `module` that are not `kept`."""

    def silence(_: nn.Module, args: object, output: Any) -> Any:
        if not isinstance(output, tuple):  # a GRU cell's
            return _masked(output, kept)
        return _masked(output[0], kept), *output[1:]

    return module.register_forward_hook(silence)


def _masked(output: Tensor | PackedSequence, kept: Tensor) -> Tensor | PackedSequence:
    if isinstance(output, PackedSequence):
        return output._replace(data=output.data * kept.to(output.data))
    return output * kept.to(output)


def _layer_of(name: str) -> int:
    """The layer of a stack that the matrix called `name` belongs to."""
    digits = name.removesuffix("_reverse").rpartition("_l")[2]
    return int(digits) if digits.isdigit() else 0
