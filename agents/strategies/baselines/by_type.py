"""A closed form per kind of layer: what would lose more when it is truncated keeps more.

From the abstract of SVD-LLM V2 (Wang et al. 2025, arXiv:2503.12340), all that we could read of it: each matrix gets a
compression ratio of its own by its theoretical truncation loss. The rest is ours: shares go by the logarithm of that
loss, among the layers of one kind, whose mean stays the target. Losses count relative to the least of their kind, since
the logarithm of an absolute loss depends on the scale of the weights. The logarithm scales what a layer keeps; its
inverse, scaling what a layer loses, would at several times smaller ask for more than all of some layers (on
`envs.toys.recogniser` at 5x, three seeds, it ended at 16 to 25 % WER, this at 3 to 10 %). Shares are scaled together
until the menus meet the budget.
"""

import math
from bisect import bisect_right
from statistics import fmean

from agents.search.search import Search
from agents.strategies.thresholds import fit_threshold

LEAST_LOSS = 1e-6  # of the largest of its kind; a layer that loses nothing has no logarithm


def by_type(search: Search) -> None:
    """Judge that plan alone; see `agents.search.search.Strategy`."""
    quality = [
        [price / prices[-1] / share for price in prices]
        for prices, share in zip(search.budget.weights, kept_shares(search), strict=True)
    ]
    if not search.recorder.finished:
        search.recorder(search.budget.plan(fit_threshold(search.budget, quality)))


def kept_shares(search: Search) -> list[float]:
    """The share of each layer to keep, relative to the mean of its kind; more, the more it loses at equal fractions."""
    kinds = [decision.kind for decision in search.problem.decisions]
    losses = _losses_at_equal_fractions(search)
    shares = [1.0] * len(kinds)
    for kind in set(kinds):
        members = [layer for layer, other in enumerate(kinds) if other == kind]
        floor = max(losses[layer] for layer in members) * LEAST_LOSS
        if floor == 0.0:
            continue  # none of them loses anything
        counted = {layer: max(losses[layer], floor) for layer in members}
        weights = {layer: 1.0 + math.log(loss / min(counted.values())) for layer, loss in counted.items()}
        shares = [weights[layer] / fmean(weights.values()) if layer in weights else s for layer, s in enumerate(shares)]
    return shares


def _losses_at_equal_fractions(search: Search) -> list[float]:
    """Frobenius norm of what each layer loses when all keep the fraction of their weights that the budget allows."""
    budget = search.budget
    kept = budget.limit / sum(prices[-1] for prices in budget.weights)
    losses = []
    for decision, prices, row in zip(search.problem.decisions, budget.weights, search.energies, strict=True):
        entry = max(0, bisect_right(prices, kept * prices[-1]) - 1)
        losses.append(math.sqrt(max(0.0, 1.0 - row[entry]) * decision.energy))
    return losses
