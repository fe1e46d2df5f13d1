"""`envs.projection.fit_to_budget` for many plans at once, for searches that try thousands in a model of the problem."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from envs.budget import Budget
from envs.energy import Energies

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

UNAFFORDABLE = 2**60  # weights; more than any budget
FREE = float(np.finfo(np.float64).max)  # rate between entries of one price: finite, to tell it from no move


@dataclass(frozen=True, slots=True)
class BatchProjection:
    """Brings batches of entries into a budget.

    Attributes:
        prices: [n_layers, longest menu] weights of each entry; of no entry, beyond a shorter menu's end, a huge number.
        rates: [n_layers, from, to] what is kept per weight between two entries of a layer.
        lower_rates: [n_layers, from] the least of them on the way down; infinite at the first entry.
        lower_entries: [n_layers, from] where that leads.
        limit: weights that the layers may have together.
    """

    prices: Ints
    rates: Floats
    lower_rates: Floats
    lower_entries: Ints
    limit: int

    @classmethod
    def of(cls, budget: Budget, energies: Energies) -> "BatchProjection":
        """For `budget`, by what each entry of each layer keeps."""
        longest = max(map(len, budget.weights))
        prices = np.array([_padded(row, longest, UNAFFORDABLE) for row in budget.weights], np.int64)
        kept = np.array([_padded(row, longest, 1.0) for row in energies])
        weights = prices[:, None, :] - prices[:, :, None]
        gains = kept[:, None, :] - kept[:, :, None]
        rates = np.divide(gains, weights, out=np.full(gains.shape, FREE), where=weights != 0)
        downward = np.where(np.tri(longest, k=-1, dtype=bool), rates, np.inf)
        return cls(prices, rates, downward.min(axis=2), downward.argmin(axis=2), budget.limit)

    def fit(self, entries: Ints, pinned: Bools) -> Ints:
        """[n, n_layers] what `fit_to_budget` makes of each row.

        Args:
            entries: [n, n_layers] menu indices.
            pinned: [n, n_layers] True where a layer moves only when no other can.
        """
        fitted = entries.copy()
        for step_ in (self._lower_, self._raise_):
            for movable in (~pinned, np.ones_like(pinned)):
                active = np.arange(len(fitted))
                while len(active):
                    active = active[step_(fitted, active, movable)]
        return fitted

    def spent(self, entries: Ints) -> Ints:
        """[n] weights of the layers at each row of `entries`."""
        spent: Ints = self.prices[np.arange(len(self.prices)), entries].sum(axis=1)
        return spent

    def _lower_(self, entries: Ints, rows: Ints, movable: Bools) -> Bools:
        """Takes the step down of least loss in each of `rows` that is too big; which of them moved."""
        now, layers = entries[rows], np.arange(len(self.prices))
        rates = np.where(movable[rows], self.lower_rates[layers, now], np.inf)
        layer = rates.argmin(axis=1)
        moved: Bools = (self.spent(now) > self.limit) & np.isfinite(rates[np.arange(len(rows)), layer])
        layer = layer[moved]
        entries[rows[moved], layer] = self.lower_entries[layer, now[moved, layer]]
        return moved

    def _raise_(self, entries: Ints, rows: Ints, movable: Bools) -> Bools:
        """Takes the step up of most gain that fits in each of `rows`; which of them moved."""
        now, layers = entries[rows], np.arange(len(self.prices))
        left = (self.limit - self.spent(now))[:, None, None]
        above = np.arange(self.prices.shape[1]) > now[:, :, None]
        allowed = above & movable[rows][:, :, None] & (self.prices - self.prices[layers, now][:, :, None] <= left)
        rates = np.where(allowed, self.rates[layers, now], -np.inf).reshape(len(rows), -1)
        highest = rates.argmax(axis=1)
        moved: Bools = np.isfinite(rates[np.arange(len(rows)), highest])
        layer, entry = np.divmod(highest, self.prices.shape[1])
        entries[rows[moved], layer[moved]] = entry[moved]
        return moved


def _padded(row: Sequence[float], length: int, filler: float) -> list[float]:
    return [*row, *[filler] * (length - len(row))]
