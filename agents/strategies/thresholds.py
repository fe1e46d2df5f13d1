"""One threshold for all layers, as low or as high as the budget demands: the rule of several published allocations."""

from collections.abc import Sequence
from itertools import accumulate

from envs.budget import Budget, Entries


def fit_threshold(budget: Budget, quality: Sequence[Sequence[float]]) -> Entries:
    """The cheapest entries whose quality reaches the highest threshold that the budget affords.

    Raising the threshold passes every entry's quality in turn, so the sweep over them ends at exactly the threshold
    that bisection would close in on. What the budget leaves then goes to the layers whose next entry still fits,
    lowest quality first.

    Args:
        budget: prices and limit.
        quality: of each layer at each entry, higher is better; an entry counts as at least as good as those below it.
    """
    return raised_in_turn(budget, [list(accumulate(row, max))[:-1] for row in quality])


def raised_in_turn(budget: Budget, keys: Sequence[Sequence[float]]) -> Entries:
    """The cheapest entries, raised one by one as far as the budget allows.

    Args:
        budget: prices and limit.
        keys: of each layer, for each raise by one entry, ascending: the lowest of all comes first. A layer whose raise
            does not fit stays where it is.
    """
    entries = list(budget.cheapest)
    turns = sorted((key, layer, entry) for layer, row in enumerate(keys) for entry, key in enumerate(row, 1))
    left = budget.limit - budget.spent(entries)
    for _, layer, entry in turns:
        if entries[layer] == entry - 1 and (price := budget.extra(entries, layer, entry)) <= left:
            entries[layer] = entry
            left -= price
    return tuple(entries)
