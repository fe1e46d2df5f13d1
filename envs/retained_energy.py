"""How much of each layer's spectrum its menu entries keep: the cheap guess of what a rank costs in accuracy."""

import numpy as np

from envs.budget import Budget
from envs.menus import Menu
from envs.problem import RankProblem
from shrinkml.errors import PlanError

Energies = tuple[tuple[float, ...], ...]


def retained_energies(problem: RankProblem, budget: Budget) -> Energies:
    """The fraction of each layer's energy that each of its entries keeps; 1 where it stays dense.

    Energy is the sum of squared singular values; by Eckart and Young (1936) no matrix of the same rank keeps more.

    Raises:
        PlanError: a layer without a spectrum.
    """
    return tuple(_retained(problem, name, menu) for name, menu in zip(budget.names, budget.menus, strict=True))


def _retained(problem: RankProblem, name: str, menu: Menu) -> tuple[float, ...]:
    if not problem.spectra.get(name):
        raise PlanError(f"layer {name!r} has no spectrum; give its singular values, descending")
    energy = np.cumsum(np.square(np.asarray(problem.spectra[name], dtype=np.float64)))
    total = energy[-1]
    if total == 0.0:
        return (1.0,) * len(menu)  # a layer of zeros loses nothing at any rank
    return tuple(1.0 if rank is None else float(energy[min(rank, len(energy)) - 1] / total) for rank in menu)
