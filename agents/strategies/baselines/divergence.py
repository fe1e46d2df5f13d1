"""The plan of least total divergence, as if what layers do to the scores added up.

The cheapest plan that knows the model: a few utterances tell the divergence of each layer alone
(`agents.search.layer_losses`), and no plan but the result is judged. Without those, it is the plan that loses the least
energy. Entries are chosen as in `agents.strategies.least_damage`.
"""

from agents.search.search import Search
from agents.strategies.least_damage import least_damage
from envs.budget import Budget, Entries
from envs.expectation import Harms, as_energies
from envs.projection import fit_to_budget


def divergence(search: Search) -> None:
    """Judges that plan alone; see `agents.search.search.Strategy`."""
    if not search.recorder.finished:
        search.recorder(search.budget.plan(least_expected(search.budget, search.harms)))


def least_expected(budget: Budget, harms: Harms) -> Entries:
    """The entries of least total harm, if harms add up; the budget is used up as far as it goes."""
    return fit_to_budget(least_damage(budget, harms), budget, as_energies(harms))
