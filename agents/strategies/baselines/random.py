"""Random search, blind to the spectra: what any agent must beat."""

import numpy as np

from agents.search.search import Search
from envs.budget import Budget, Entries


def random_entries(budget: Budget, rng: np.random.Generator) -> Entries:
    """Random entries that use the budget: no layer could be raised alone.

    The layers choose in random order, each evenly among what the others leave affordable; then, again in random order,
    each takes what is left.
    """
    entries = list(budget.cheapest)
    settled: set[int] = set()
    for layer in rng.permutation(len(entries)).tolist():
        affordable = budget.affordable(layer, entries, settled)
        entries[layer] = affordable[int(rng.integers(len(affordable)))]
        settled.add(layer)
    for layer in rng.permutation(len(entries)).tolist():
        entries[layer] = budget.affordable(layer, entries, settled)[-1]
    return tuple(entries)


def random(search: Search) -> None:
    """Judge random plans; see `agents.search.search.Strategy`."""
    budget, recorder = search.budget, search.recorder
    rng = np.random.default_rng(search.seed)
    while not recorder.finished:
        recorder(budget.plan(random_entries(budget, rng)))
