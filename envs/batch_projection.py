"""`envs.projection.fit_to_budget` for many plans at once, for searches that try thousands in a model of the problem."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.batch_modules import BatchModules, Bools, Floats, Ints
from envs.budget import Budget, EntryTerm
from envs.decision import PerOption

UNAFFORDABLE = 2**60  # weights; more than any budget
FREE = float(np.finfo(np.float64).max)  # rate between entries of one price: finite, to tell it from no move


@dataclass(frozen=True, slots=True)
class BatchProjection:
    """Brings batches of entries into a budget.

    Attributes:
        prices: [n_layers, longest menu] weights of each entry; of no entry, beyond a shorter menu's end, a huge number.
        next_prices: [n_layers, from] weights more of the next entry; of none, after a menu's last, a huge number.
        rates: [n_layers, from, to] what is kept per weight between two entries of a layer.
        lower_rates: [n_layers, from] the least of them on the way down; infinite at the first entry.
        lower_entries: [n_layers, from] where that leads.
        limit: weights that the layers may have together.
        terms: of groups.
        modules: that may be dropped; None where there are none.
    """

    prices: Ints
    next_prices: Ints
    rates: Floats
    lower_rates: Floats
    lower_entries: Ints
    limit: int
    terms: "tuple[BatchTerm, ...]" = ()
    modules: BatchModules | None = None

    @classmethod
    def of(cls, budget: Budget, energies: PerOption) -> "BatchProjection":
        """For `budget`, by what each entry of each layer keeps."""
        longest = max(map(len, budget.weights))
        prices = np.array([_padded(row, longest, UNAFFORDABLE) for row in budget.weights], np.int64)
        kept = np.array([_padded(row, longest, 1.0) for row in energies])
        weights = prices[:, None, :] - prices[:, :, None]
        gains = kept[:, None, :] - kept[:, :, None]
        rates = np.divide(gains, weights, out=np.full(gains.shape, FREE), where=weights != 0)
        downward = np.where(np.tri(longest, k=-1, dtype=bool), rates, np.inf)
        next_prices = np.diff(prices, axis=1, append=UNAFFORDABLE)
        terms = tuple(BatchTerm.of(term, prices.shape) for term in budget.terms)
        lower_rates, lower_entries = downward.min(axis=2), downward.argmin(axis=2)
        modules = BatchModules.of(budget, prices, kept) if budget.children else None
        return cls(prices, next_prices, rates, lower_rates, lower_entries, budget.limit, terms, modules)

    def fit(self, entries: Ints, pinned: Bools) -> Ints:
        """[n, n_layers] what `fit_to_budget` makes of each row.

        Args:
            entries: [n, n_layers] menu indices.
            pinned: [n, n_layers] True where a layer moves only when no other can.
        """
        fitted, left = entries.copy(), self.limit - self.spent(entries)
        for step_ in (self._lower_, self._raise_):
            for movable in (~pinned, np.ones_like(pinned)):
                active = np.arange(len(fitted))
                while len(active):
                    active = active[step_(fitted, left, active, movable)]
        if self.modules is not None:
            fitted = np.where(self.modules.gone(fitted), self.modules.lasts, fitted)
        return fitted

    def spent(self, entries: Ints) -> Ints:
        """[n] weights of the layers at each row of `entries`."""
        prices = self.prices[np.arange(len(self.prices)), entries]
        if self.modules is not None:
            prices = np.where(self.modules.gone(entries), 0, prices)
        spent: Ints = prices.sum(axis=1)
        return spent + self._of_terms(entries)

    def _lower_(self, entries: Ints, left: Ints, rows: Ints, movable: Bools) -> Bools:
        """Takes the step down of least loss in each of `rows` that is too big; which of them moved."""
        moved: Bools = left[rows] < 0
        rows = rows[moved]
        now, layers = entries[rows], np.arange(len(self.prices))
        rates = self.lower_rates[layers, now]
        if self.modules is not None:
            rates = self.modules.down(now, rates)
        rates = np.where(movable[rows], rates, np.inf)
        layer = rates.argmin(axis=1)
        can = np.isfinite(rates[np.arange(len(rows)), layer])
        layer = layer[can]
        self._move_(entries, left, rows[can], layer, self.lower_entries[layer, now[can, layer]])
        moved[moved] = can
        return moved

    def _raise_(self, entries: Ints, left: Ints, rows: Ints, movable: Bools) -> Bools:
        """Takes the step up of most gain that fits in each of `rows`; which of them moved."""
        now, layers = entries[rows], np.arange(len(self.prices))
        # Few layers can be raised at all: prices ascend, so without terms those whose next entry fits.
        can = movable[rows] & ((self.next_prices[layers, now] <= left[rows, None]) | bool(self.terms))
        if self.modules is not None:
            can &= ~self.modules.gone(now)
        row, layer = np.nonzero(can)
        start = now[row, layer]
        extra = self.prices[layer] - self.prices[layer, start][:, None] + self._change_of_terms(now[row], layer)
        rates = self.rates[layer, start]
        if self.modules is not None:
            extra, rates = self.modules.up(now[row], layer, extra, rates)
        fits = extra <= left[rows[row], None]
        above = np.arange(self.prices.shape[1]) > start[:, None]
        rates = np.where(fits & above, rates, -np.inf)
        highest = np.full(now.shape, -np.inf)
        highest[row, layer] = rates.max(axis=1)
        entry = np.zeros_like(now)
        entry[row, layer] = rates.argmax(axis=1)
        best = highest.argmax(axis=1)
        moved: Bools = np.isfinite(highest[np.arange(len(rows)), best])
        best = best[moved]
        self._move_(entries, left, rows[moved], best, entry[moved, best])
        return moved

    def _move_(self, entries: Ints, left: Ints, rows: Ints, layer: Ints, entry: Ints) -> None:
        """Gives one `layer` of each of `rows` its new `entry`, and keeps count of what is `left` of the budget."""
        if self.modules is not None:
            left[rows] -= self.modules.change(entries[rows], layer, entry)
        left[rows] -= self.prices[layer, entry] - self.prices[layer, entries[rows, layer]]
        before = self._of_terms(entries[rows])
        entries[rows, layer] = entry
        left[rows] -= self._of_terms(entries[rows]) - before

    def _of_terms(self, entries: Ints) -> Ints:
        """[n] what terms add to the price of each row of `entries`."""
        total = np.zeros(len(entries), np.int64)
        for term in self.terms:
            total += term.price * term.times(entries)
        return total

    def _change_of_terms(self, entries: Ints, layer: Ints) -> Ints:
        """[n, longest menu] how terms change if one `layer` [n] of each row of `entries` takes each of its entries."""
        change = np.zeros((len(entries), self.prices.shape[1]), np.int64)
        for term in self.terms:
            after = term.times_of_others(entries, layer)[:, None] * term.counts[layer]
            change += term.price * (after - term.times(entries)[:, None])
        return change


@dataclass(frozen=True, slots=True)
class BatchTerm:
    """An `EntryTerm` for many plans at once.

    Attributes:
        counts: [n_layers, longest menu] the times that an entry counts; 1 for layers outside the group.
        price: of each product of times.
    """

    counts: Ints
    price: int

    @classmethod
    def of(cls, term: EntryTerm, shape: tuple[int, ...]) -> "BatchTerm":
        """That of `term`, for prices of that `shape`."""
        counts = np.ones(shape, np.int64)
        for layer, counted in term.entries.items():
            counts[layer] = 0
            counts[layer, list(counted)] = list(counted.values())
        return cls(counts, term.price)

    def times(self, entries: Ints) -> Ints:
        """[n] how many times the price counts in each row of `entries`."""
        times: Ints = self._each(entries).prod(axis=1)
        return times

    def times_of_others(self, entries: Ints, layer: Ints) -> Ints:
        """[n] the same by all layers of each row but the one that `layer` [n] tells."""
        each = self._each(entries)
        each[np.arange(len(entries)), layer] = 1
        times: Ints = each.prod(axis=1)
        return times

    def _each(self, entries: Ints) -> Ints:
        """[n, n_layers] the times of each layer of each row."""
        return self.counts[np.arange(len(self.counts)), entries]


def _padded(row: Sequence[float], length: int, filler: float) -> list[float]:
    return [*row, *[filler] * (length - len(row))]
