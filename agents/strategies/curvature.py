"""The plan of least expected divergence: what every rank does to the outputs, as the Fisher information has it.

The cheapest plan that knows the model: one pass over speech tells all layers at all ranks
(`shrinkml.compression.curvature`), and no plan but the result is judged. Without those, it is the plan that loses the
least energy. Entries are chosen as in `agents.strategies.least_damage`.
"""

from agents.strategies.least_damage import least_damage
from agents.strategies.search import Search
from envs.budget import Budget, Entries
from envs.expectation import Harms, as_energies
from envs.projection import fit_to_budget


def curvature(search: Search) -> None:
    """Judges that plan alone; see `agents.strategies.search.Strategy`."""
    if not search.recorder.finished:
        search.recorder(search.budget.plan(least_expected(search.budget, search.harms)))


def least_expected(budget: Budget, harms: Harms) -> Entries:
    """The entries of least total harm, if harms add up; the budget is used up as far as it goes."""
    return fit_to_budget(least_damage(budget, harms), budget, as_energies(harms))
