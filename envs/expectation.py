"""What each menu entry of each layer is expected to cost in accuracy, before a plan is judged."""

from envs.budget import Budget
from envs.menus import Menu
from envs.problem import RankProblem
from envs.retained_energy import Energies, retained_energies
from shrinkml.errors import PlanError
from shrinkml.plan.compression_plan import CompressionPlan

Harms = tuple[tuple[float, ...], ...]


def expected_harms(problem: RankProblem, budget: Budget) -> Harms:
    """Of each layer at each of its entries, never rising with the entry and 0 where nothing is cut.

    The divergence that is expected of the outputs, in nats: comparable between layers. Where the problem tells none,
    the share of the layer's energy that is lost, which is not.

    Raises:
        PlanError: a layer without a divergence where others have one, or without a spectrum where none has.
    """
    if not problem.divergences:
        return tuple(tuple(1.0 - kept for kept in row) for row in retained_energies(problem, budget))
    return tuple(_harms(problem, name, menu) for name, menu in zip(budget.names, budget.menus, strict=True))


def expected_divergence(problem: RankProblem, plan: CompressionPlan) -> float:
    """What the layers that `plan` cuts do alone, in nats, added up; 0 where the problem tells nothing of that."""
    told = ((problem.divergences.get(name, ()), rank) for name, rank in plan.ranks.items())
    return sum(expected[min(rank, len(expected) - 1)] for expected, rank in told if expected)


def as_energies(harms: Harms) -> Energies:
    """The same as something to be kept: what `envs.projection` weighs against prices."""
    return tuple(tuple(-harm for harm in row) for row in harms)


def _harms(problem: RankProblem, name: str, menu: Menu) -> tuple[float, ...]:
    expected = problem.divergences.get(name)
    if not expected:
        raise PlanError(f"layer {name!r} has no divergence; give one for each of its ranks, from 0 on")
    return tuple(0.0 if rank is None else expected[min(rank, len(expected) - 1)] for rank in menu)
