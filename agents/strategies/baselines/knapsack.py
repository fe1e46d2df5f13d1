"""The plan of least total word loss, as if the losses of single decisions added up.

They are measured one decision at a time (`agents.strategies.measured_losses`); what layers do to each other stays
unseen.
"""

from agents.search.search import Search
from agents.strategies.least_loss import least_loss
from agents.strategies.measured_losses import measure_word_losses
from agents.strategies.starts import judge_baselines
from envs.projection import fit_to_budget


def knapsack(search: Search) -> None:
    """Measure each decision alone, then judge one plan; see `agents.search.search.Strategy`."""
    judge_baselines(search)
    entries = least_loss(search.budget, measure_word_losses(search, reserve=1))
    if not search.recorder.finished:
        search.recorder(search.budget.plan(fit_to_budget(entries, search.budget, search.energies)))
