"""The tree-structured Parzen estimator, over all layers at once, as Optuna's TPESampler.

References:
    Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization (NeurIPS).
    Watanabe 2023, Tree-Structured Parzen Estimator, arXiv:2304.11127.
"""

from agents.search.search import Search
from envs.projection import fit_to_budget


def tpe(search: Search) -> None:
    """Proposes what resembles the better plans; see `agents.search.search.Strategy`."""
    # Imported here, so that the table of strategies loads without Optuna.
    from optuna.samplers import TPESampler

    from agents.strategies.baselines.studies import sample_plans

    sample_plans(search, TPESampler(seed=search.seed), within=fit_to_budget, objectives=lambda plan, wer: (wer,))
