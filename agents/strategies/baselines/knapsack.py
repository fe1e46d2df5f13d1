"""The plan of least total damage, as if the damages of single layers added up.

The damages are measured one layer at a time (`agents.strategies.measured_damage`); what layers do to each other stays
unseen.
"""

from agents.search.search import Search
from agents.strategies.least_damage import least_damage
from agents.strategies.measured_damage import measure_damages
from agents.strategies.starts import judge_baselines
from envs.projection import fit_to_budget


def knapsack(search: Search) -> None:
    """Measures each layer alone, then judges one plan; see `agents.search.search.Strategy`."""
    judge_baselines(search)
    entries = least_damage(search.budget, measure_damages(search, reserve=1))
    if not search.recorder.finished:
        search.recorder(search.budget.plan(fit_to_budget(entries, search.budget, search.energies)))
