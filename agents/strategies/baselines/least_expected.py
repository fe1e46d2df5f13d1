"""The plan of least total expected loss, as if the losses of single decisions added up. Jobs call it `divergence`.

The cheapest plan that knows the model: a few utterances tell the expected loss of each layer (`agents.search.look`),
and no plan but the result is judged. Without those, it is the plan that loses the least energy. Entries are chosen as
in `agents.strategies.least_loss`.
"""

from agents.search.search import Search
from agents.strategies.least_loss import least_loss
from envs.budget import Budget, Entries
from envs.decision import PerOption
from envs.projection import as_energies, fit_to_budget


def least_expected_loss(search: Search) -> None:
    """Judge that plan alone; see `agents.search.search.Strategy`."""
    if not search.recorder.finished:
        search.recorder(search.budget.plan(least_expected(search.budget, search.losses)))


def least_expected(budget: Budget, losses: PerOption) -> Entries:
    """The entries of least total loss, if losses add up; the budget is used up as far as it goes."""
    return fit_to_budget(least_loss(budget, losses), budget, as_energies(losses))
