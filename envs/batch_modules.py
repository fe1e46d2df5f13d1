"""Modules that may be dropped, for many plans at once: what lies in them goes and comes with them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.budget import Budget

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BatchModules:
    """Modules that are dropped with the first entry of their decisions and kept with the only other, for many plans.

    Attributes:
        inside: [n_layers, n_layers] 1 where a layer (second) lies in the module that another decides about (first).
        prices: [n_layers, longest menu] of each entry.
        kept: [n_layers, longest menu] what each entry keeps.
        lasts: [n_layers] last entry of each menu.
    """

    inside: Ints
    prices: Ints
    kept: Floats
    lasts: Ints

    @property
    def may_go(self) -> Bools:
        """[n_layers] True for decisions about modules that may be dropped."""
        may_go: Bools = np.any(self.inside, axis=1)
        return may_go

    @classmethod
    def of(cls, budget: Budget, prices: Ints, kept: Floats) -> "BatchModules":
        """Those of `budget`."""
        inside = np.zeros((len(prices), len(prices)), np.int64)
        for module, children in budget.children.items():
            if budget.drops(module, 0):
                inside[module, list(children)] = 1
        return cls(inside, prices, kept, np.array([len(row) - 1 for row in budget.weights]))

    def gone(self, entries: Ints) -> Bools:
        """[n, n_layers] True for layers that lie in a module which a row of `entries` drops."""
        gone: Bools = ((entries == 0) & self.may_go) @ self.inside > 0
        return gone

    def down(self, entries: Ints, rates: Floats) -> Floats:
        """[n, n_layers] `rates` of steps down from `entries`, those of modules with what lies in them."""
        layers = np.arange(len(self.lasts))
        energy, price = self._change(entries, self.kept), self._change(entries, self.prices)
        inside = self.kept[layers, entries] @ self.inside.T, self.prices[layers, entries] @ self.inside.T
        drops = self.may_go & (entries > 0)
        whole = np.divide(energy - inside[0], price - inside[1], out=np.zeros(rates.shape), where=drops)
        return np.where(self.gone(entries), np.inf, np.where(drops, whole, rates))

    def up(self, entries: Ints, layer: Ints, extra: Ints, rates: Floats) -> tuple[Ints, Floats]:
        """[n, longest menu] `extra` and `rates` of the entries of a `layer` [n], of modules with what lies in them.

        To bring back one whose layers lose more than it alone is no gain.
        """
        layers = np.arange(len(self.lasts))
        now = self.kept[layers, entries], self.prices[layers, entries]
        energy, price = ((part * self.inside[layer]).sum(axis=1)[:, None] for part in now)
        returns = (self.may_go[layer] & (entries[np.arange(len(entries)), layer] == 0))[:, None]
        gained = self.kept[layer] - self.kept[layer, 0][:, None] + energy
        whole = np.where(gained > 0.0, gained / np.maximum(extra + price, 1), -np.inf)
        return np.where(returns, extra + price, extra), np.where(returns, whole, rates)

    def change(self, entries: Ints, layer: Ints, entry: Ints) -> Ints:
        """[n] how the price of what lies in `layer` [n], where that is a module, changes with its new `entry`."""
        prices = (self.prices[np.arange(len(self.lasts)), entries] * self.inside[layer]).sum(axis=1)
        change: Ints = prices * ((entry > 0).astype(np.int64) - (entries[np.arange(len(entries)), layer] > 0))
        return change

    def _change(self, entries: Ints, of: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """[n, n_layers] the change of a figure from each of `entries` to the first."""
        change: npt.NDArray[Any] = of[:, 0] - of[np.arange(len(self.lasts)), entries]
        return change
