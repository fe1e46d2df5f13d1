"""The plan of least loss if losses add up: a multiple-choice knapsack problem.

Dynamic programming over the budget left solves it exactly (Kellerer, Pferschy and Pisinger 2004, Knapsack Problems,
chapter 11). Where a module may be dropped, the table goes both ways, with what lies in it and without, and the better
is taken at each budget.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from envs.budget import Budget, Entries
from envs.decision import PerOption

MAX_CELLS = 50_000  # of the table, per layer; with more weights than that to give away, prices are rounded up

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def least_loss(budget: Budget, losses: PerOption) -> Entries:
    """Entries within the budget of the least sum of `losses`; exact unless prices were rounded up (MAX_CELLS).

    Terms for groups are left out: with some, the plan may be over the budget, for `envs.projection` to bring inside.

    Args:
        budget: prices and limit.
        losses: of each option of each decision, in any unit.
    """
    extra = [np.asarray(prices) - prices[0] for prices in budget.weights]
    for module, inside in budget.children.items():
        if budget.drops(module, 0):  # the cheapest plan has nothing of what lies in it
            extra[module] = extra[module] + [0, *[sum(budget.weights[i][0] for i in inside)] * (len(extra[module]) - 1)]
    left = budget.limit - budget.spent(budget.cheapest)
    common = max(1, int(np.gcd.reduce(np.concatenate(extra))))
    unit = max(common, -(-left // MAX_CELLS))
    costs = [-(-prices // unit) for prices in extra]
    least = np.zeros(left // unit + 1)  # loss of the decisions so far, for at most that many units
    steps: list[_Step] = []
    for decision in (i for i in range(len(costs)) if i not in budget.parents):
        step, least = _taken(budget, decision, costs, losses, least)
        steps.append(step)
    return _trace_back(budget, steps, costs, len(least) - 1)


class _Step(NamedTuple):
    """The choices at one decision, for each cell of the table.

    Attributes:
        decision: index of it.
        entries: [cells] taken.
        inside: the steps of what lies in the module that it keeps.
        dropped: [cells] True where it is better to drop that; None where it is none that may be.
    """

    decision: int
    entries: Ints
    inside: "tuple[_Step, ...]" = ()
    dropped: npt.NDArray[np.bool_] | None = None


def _taken(
    budget: Budget, decision: int, costs: Sequence[Ints], losses: PerOption, least: Floats
) -> tuple[_Step, Floats]:
    """The step of one decision, with what lies in it, and the table `least` behind it."""
    entries, behind = _options(costs[decision], losses[decision], least, budget.drops(decision, 0))
    inside: list[_Step] = []
    for child in budget.children.get(decision, ()):
        step, behind = _taken(budget, child, costs, losses, behind)
        inside.append(step)
    if not budget.drops(decision, 0):
        return _Step(decision, entries, tuple(inside)), behind
    without = least + losses[decision][0]
    dropped = without < behind
    return _Step(decision, entries, tuple(inside), dropped), np.where(dropped, without, behind)


def _options(costs: Ints, losses: Sequence[float], least: Floats, drops: bool) -> tuple[Ints, Floats]:
    """[cells] the entry of least loss, and that loss; not the first where that `drops` a module."""
    options = np.full((len(losses), len(least)), np.inf)
    for entry, cost in enumerate(costs):
        if cost < len(least) and not (drops and entry == 0):
            options[entry, cost:] = least[: len(least) - cost] + losses[entry]
    return options.argmin(axis=0), options.min(axis=0)


def _trace_back(budget: Budget, steps: Sequence[_Step], costs: Sequence[Ints], cell: int) -> Entries:
    entries = [0] * len(costs)

    def undo(step: _Step, cell: int) -> int:
        """The cell before `step`, whose entries are told."""
        if step.dropped is not None and step.dropped[cell]:
            return cell
        for child in reversed(step.inside):
            cell = undo(child, cell)
        entries[step.decision] = int(step.entries[cell])
        return cell - int(costs[step.decision][entries[step.decision]])

    for step in reversed(steps):
        cell = undo(step, cell)
    return budget.written(entries)
