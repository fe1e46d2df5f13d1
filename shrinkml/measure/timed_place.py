"""A module of a model that is timed under choices for its matrices: ranks one by one, and fewer units all at once.

A recurrent module is timed with fewer units in all of its directions, each at the same place of its menu; a linear
layer with fewer rows, and the one that follows it with fewer columns. Of columns that units of other modules feed, only
what half of them take is timed: the time of the input product goes by its columns.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from shrinkml.compression.sites import Pairs, Site, WiredPairs, sharing
from shrinkml.compression.surgery import reshape
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import Feed
from shrinkml.plan.site_prices import FedColumns

FILLER = 0.01  # for weights: zeros that were never written share one page of memory, and so are read from the cache
UNITS, COLUMNS = "units of all directions", "columns that others feed"  # beside the names of matrices
NOTHING = 0.0  # that the second of two matrices takes: the first one stands for both

Menu = Sequence[int | None]
Times = Mapping[int | None, float]  # entry of a menu -> seconds
Shares = Callable[[Mapping[str, Times]], Mapping[str, Times]]


class Ready(NamedTuple):
    """A module to be timed, and the columns of its input that it takes; None for all."""

    module: nn.Module
    columns: int | None


@dataclass(frozen=True, slots=True)
class Units:
    """Units of one of a pair of matrices, in one module.

    Attributes:
        site: the matrix.
        gates: rows for each unit.
        left: numbers of units to time it at, ascending.
        first: True for the matrix that computes them, which is priced for both.
        second: the recurrent matrix in the same module, if there is one.
    """

    site: Site
    gates: int
    left: Sequence[int]
    first: bool
    second: Site | None = None

    def choices(self, entry: int | None) -> dict[str, Choice]:
        """Layer -> its choice with as many units as the entry of the menu says; as it is for None."""
        if entry is None:
            sites = (self.site, self.second) if self.second else (self.site,)
            return {site.layer: site.form.choice for site in sites}
        present = self.site.form.choice
        n_left = self.left[min(entry, len(self.left) - 1)]
        if not self.first:
            return {self.site.layer: replace(present, inputs=n_left)}
        own = replace(present, outputs=n_left * self.gates)
        return {self.site.layer: own} | ({self.second.layer: own.followed(self.gates)} if self.second else {})


@dataclass(frozen=True, slots=True)
class Place:
    """A module that holds factorizable matrices.

    Attributes:
        module: it.
        sites: matrix ("weight_ih_l0") -> where it stands.
        menus: matrix -> the ranks to time it at; UNITS and COLUMNS -> the entries that `units` and columns have.
        units: that are cut together.
        feeds: layer -> what feeds its columns.
    """

    module: nn.Module
    sites: Mapping[str, Site]
    menus: Mapping[str, Menu]
    units: Sequence[Units] = ()
    feeds: Mapping[str, Sequence[Feed]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        module: nn.Module,
        sites: Sequence[Site],
        menus: Mapping[str, Menu],
        units: Mapping[str, Sequence[int]],
        pairs: Pairs,
    ) -> "Place":
        """The place of `module`.

        Args:
            module: of a model.
            sites: of its matrices.
            menus: layer -> ranks, of the whole model.
            units: layer -> numbers of units that may be left, of the whole model.
            pairs: layers whose units may be cut -> their followers.
        """
        by_layer, seconds = {site.layer: site for site in sites}, {second: first for first, second in pairs.items()}
        cut = []
        for site in sites:
            if site.layer in pairs:
                second = by_layer.get(pairs[site.layer]) if site.gates else None
                cut.append(Units(site, max(1, site.gates), units[site.layer], first=True, second=second))
            elif site.layer in seconds and not site.gates:
                cut.append(Units(site, 1, units[seconds[site.layer]], first=False))
        in_blocks = sharing(pairs)
        apart = {*in_blocks, *in_blocks.values()}  # which are not factorized where units may be cut
        found = {site.name: menus[site.layer] for site in sites if site.layer not in apart}
        if cut:
            found[UNITS] = (*range(max(len(it.left) for it in cut)), None)
        feeds = pairs.feeds if isinstance(pairs, WiredPairs) else {}
        fed = {layer: feeds[layer] for layer in by_layer if layer in feeds}
        if any(not _inside(feeds, by_layer) for feeds in fed.values()):
            found[COLUMNS] = (0, None)
        return cls(module, {site.name: site for site in sites}, found, tuple(cut), fed)

    @torch.no_grad()
    def at(self, matrix: str, entry: int | None) -> Ready:
        """The module with that matrix at `entry`, the others in the middle of their menus, and made-up weights."""
        if matrix == COLUMNS:
            return self._with_columns(entry)
        plan: dict[str, Choice] = {}
        if matrix == UNITS:
            for it in self.units:
                plan |= it.choices(entry)
        else:
            ranks = {name: middle(menu) for name, menu in self._ranks.items()} | {matrix: entry}
            plan = {self.sites[name].layer: Choice(rank=rank) for name, rank in ranks.items() if rank is not None}
        self._cut_inside(plan)
        followers = [it for it in self.units if not it.first]
        columns = plan[followers[0].site.layer].inputs if followers else None
        return Ready(self._filled(plan), columns)

    def priced(self, curves: Mapping[str, Times], own_shares: Shares) -> Iterator[tuple[str, dict[Choice, float]]]:
        """Layers and the seconds that each takes under its choices, of the seconds that the module took.

        Args:
            curves: matrix, or UNITS -> entry -> seconds of the module.
            own_shares: of each of them in these.
        """
        shares = own_shares({name: curves[name] for name in self._ranks}) if self._ranks else {}
        found: dict[str, dict[Choice, float]] = {}
        for name, times in shares.items():
            found[self.sites[name].layer] = {Choice(rank=rank): seconds for rank, seconds in times.items()}
        cut = {site.layer for it in self.units for site in (it.site, it.second) if site is not None}
        others = (times for name, times in shares.items() if self.sites[name].layer not in cut)
        rest = sum(times[[*times][-1]] for times in others)  # as they are
        for it in self.units:
            for entry, seconds in curves[UNITS].items():
                for layer, choice in it.choices(entry).items():
                    pays = layer == it.site.layer
                    paid = max(0.0, seconds - rest) / len(self.units) if pays else NOTHING
                    found.setdefault(layer, {}).setdefault(choice, paid)
        yield from found.items()

    @property
    def _ranks(self) -> dict[str, Menu]:
        """The menus of matrices."""
        return {name: menu for name, menu in self.menus.items() if name not in (UNITS, COLUMNS)}

    def fed_columns(self, curves: Mapping[str, Times], scale: float) -> dict[str, FedColumns]:
        """Layer -> what the columns cost that units of other modules feed, seconds counting `scale` each."""
        if COLUMNS not in curves:
            return {}
        shapes = [site.form.shape for site in self._fed]
        n_weights = sum(rows * (columns - columns // 2) for rows, columns in shapes)
        per_weight = scale * max(0.0, curves[COLUMNS][None] - curves[COLUMNS][0]) / n_weights
        return {it.layer: FedColumns(it.spec(), per_weight, it.form.choice.inputs) for it in self._fed}

    @property
    def _fed(self) -> list[Site]:
        """The matrices that units of other modules feed."""
        layers = {site.layer for site in self.sites.values()}
        fed = (site for site in self.sites.values() if site.layer in self.feeds)
        return [site for site in fed if not _inside(self.feeds[site.layer], layers)]

    def _with_columns(self, entry: int | None) -> Ready:
        """The module as it is, or with half of the columns that others feed."""
        if entry is None:
            return Ready(self._filled({}), None)
        plan = {site.layer: replace(site.form.choice, inputs=site.form.shape[1] // 2) for site in self._fed}
        return Ready(self._filled(plan), self._fed[0].form.shape[1] // 2)

    def _cut_inside(self, plan: dict[str, Choice]) -> None:
        """Cuts the columns that units of the module itself feed."""
        for name, site in self.sites.items():
            mine = [feed for feed in self.feeds.get(site.layer, ()) if feed.layer in plan]
            if n_cut := sum(feed.n_cut(plan[feed.layer]) for feed in mine):
                choice = plan.get(site.layer, site.form.choice)
                plan[self.sites[name].layer] = replace(choice, inputs=site.form.shape[1] - n_cut)

    def _filled(self, plan: Mapping[str, Choice]) -> nn.Module:
        names = {site.layer: name for name, site in self.sites.items()}
        small = reshape(self.module, CompressionPlan({names[layer]: choice for layer, choice in plan.items()}))
        for parameter in small.parameters():
            if parameter.is_floating_point():
                parameter.fill_(FILLER)
        return small


def _inside(feeds: Sequence[Feed], layers: object) -> bool:
    """True where all of `feeds` are of `layers`."""
    return all(feed.layer in layers for feed in feeds)  # type: ignore[operator]


def middle(menu: Menu) -> int | None:
    """The entry in the middle of `menu`."""
    return menu[len(menu) // 2]


def first_columns(args: tuple[Any, ...], n: int | None) -> tuple[Any, ...]:
    """The arguments of a module with `n` columns of the first, a tensor or a packed sequence."""
    if n is None:
        return args
    given, *rest = args
    if isinstance(given, PackedSequence):
        return given._replace(data=given.data[..., :n].contiguous()), *rest
    assert isinstance(given, Tensor), "linear and recurrent layers take their input first"
    return given[..., :n].contiguous(), *rest
