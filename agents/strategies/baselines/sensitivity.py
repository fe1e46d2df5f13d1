"""One threshold on measured word loss for all layers: each gets the smallest rank that does no more of it, alone.

The rule of ASVD (Yuan et al. 2023, arXiv:2312.05821), which measures perplexity with one layer compressed at a time and
finds the threshold by binary search; here it is the WER on the proxy set, at ranks of the menus. The cheap baselines
are judged first and the measurements counted, so that all strategies are compared at equal evaluations.
"""

from agents.search.search import Search
from agents.strategies.measured_losses import measure_word_losses
from agents.strategies.starts import judge_baselines
from agents.strategies.thresholds import fit_threshold


def sensitivity(search: Search) -> None:
    """Measure each decision alone, then judge one plan; see `agents.search.search.Strategy`."""
    judge_baselines(search)
    quality = [[-loss for loss in row] for row in measure_word_losses(search, reserve=1)]
    if not search.recorder.finished:
        search.recorder(search.budget.plan(fit_threshold(search.budget, quality)))
