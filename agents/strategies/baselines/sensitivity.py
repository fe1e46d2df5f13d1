"""One threshold on measured damage for all layers: each gets the smallest rank that does no more of it, alone.

The rule of ASVD (Yuan et al. 2023, arXiv:2312.05821), which measures perplexity with one layer compressed at a time and
finds the threshold by binary search; here it is the WER on the proxy set, at ranks of the menus. The cheap baselines
are judged first and the measurements counted, so that all strategies are compared at equal evaluations.
"""

from agents.search.search import Search
from agents.strategies.measured_damage import measure_damages
from agents.strategies.starts import judge_baselines
from agents.strategies.thresholds import fit_threshold


def sensitivity(search: Search) -> None:
    """Measures each layer alone, then judges one plan; see `agents.search.search.Strategy`."""
    judge_baselines(search)
    damages = measure_damages(search, reserve=1)
    quality = [[-damage for damage in row] for row in damages]
    if not search.recorder.finished:
        search.recorder(search.budget.plan(fit_threshold(search.budget, quality)))
