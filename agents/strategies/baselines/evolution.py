"""(1+1) evolution: a child replaces its parent when it is at least as good.

The simplest member of the family that EvoPress (Sieberling et al. 2024, arXiv:2410.14649) uses for dynamic compression.
"""

import numpy as np

from agents.search.search import Search
from agents.strategies.starts import judge_baselines
from envs.budget import Budget, Entries
from envs.projection import fit_to_budget

MUTATED = 0.25  # of the layers, on average, at most,
MUTATED_LAYERS = 4.5  # and so many of them: more at once hardly ever make a good plan of many layers better
MAX_STEP = 3  # menu entries that a mutated layer moves, at most


def evolution(search: Search) -> None:
    """Mutate the best plan so far, first the greedy one; see `agents.search.search.Strategy`."""
    budget, recorder = search.budget, search.recorder
    rng = np.random.default_rng(search.seed)
    judge_baselines(search)
    parent, parent_wer = recorder.best.plan, recorder.best.wer
    while not recorder.finished:
        entries, mutated = _mutate(budget.entries(parent), budget, rng)
        child = budget.plan(fit_to_budget(entries, budget, search.energies, pinned=mutated))
        child_wer = recorder(child)
        if child_wer <= parent_wer:
            parent, parent_wer = child, child_wer


def mutated_share(n_layers: int) -> float:
    """The share of a plan's layers that a mutation moves on average."""
    return min(MUTATED, MUTATED_LAYERS / n_layers)


def _mutate(entries: Entries, budget: Budget, rng: np.random.Generator) -> tuple[Entries, set[int]]:
    """Entries moved at random within their menus, and which layers those are; always at least one."""
    drawn = rng.random(len(entries)) < mutated_share(len(entries))
    mutated = set(np.flatnonzero(drawn).tolist()) or {int(rng.integers(len(entries)))}
    steps = rng.integers(1, MAX_STEP + 1, len(entries)) * rng.choice([-1, 1], len(entries))
    lasts = [len(prices) - 1 for prices in budget.weights]
    moved = (
        min(max(entry + int(step), 0), last) if layer in mutated else entry
        for layer, (entry, step, last) in enumerate(zip(entries, steps, lasts, strict=True))
    )
    return tuple(moved), mutated
