"""One energy threshold for all layers: each gets the smallest rank that keeps that share of its spectrum.

The rule of LiteASR (Kamahori et al. 2025, arXiv:2502.20583), which takes the spectrum of a layer's activations and a
fixed threshold. Here it is the spectrum of the job's factorizer, and the highest threshold that the budget allows.
"""

from agents.search.search import Search
from agents.strategies.thresholds import fit_threshold


def energy(search: Search) -> None:
    """Judge the plan of equal energy alone; see `agents.search.search.Strategy`."""
    if not search.recorder.finished:
        search.recorder(search.budget.plan(fit_threshold(search.budget, search.energies)))
