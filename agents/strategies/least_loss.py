"""The plan of least loss if losses add up: a multiple-choice knapsack problem.

Dynamic programming over the budget left solves it exactly (Kellerer, Pferschy and Pisinger 2004, Knapsack Problems,
chapter 11).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from envs.budget import Budget, Entries
from envs.decision import PerOption

MAX_CELLS = 50_000  # of the table, per layer; with more weights than that to give away, prices are rounded up


def least_loss(budget: Budget, losses: PerOption) -> Entries:
    """Entries within the budget of the least sum of `losses`; exact unless prices were rounded up (MAX_CELLS).

    Terms for groups are left out: with some, the plan may be over the budget, for `envs.projection` to bring inside.

    Args:
        budget: prices and limit.
        losses: of each option of each decision, in any unit.
    """
    extra = [np.asarray(prices) - prices[0] for prices in budget.weights]
    left = budget.limit - budget.spent(budget.cheapest)
    common = max(1, int(np.gcd.reduce(np.concatenate(extra))))
    unit = max(common, -(-left // MAX_CELLS))
    costs = [-(-prices // unit) for prices in extra]
    least = np.zeros(left // unit + 1)  # loss of the decisions so far, for at most that many units
    choices: list[npt.NDArray[np.int64]] = []
    for layer_costs, row in zip(costs, losses, strict=True):
        options = np.full((len(row), len(least)), np.inf)
        for entry, cost in enumerate(layer_costs):
            if cost < len(least):
                options[entry, cost:] = least[: len(least) - cost] + row[entry]
        choices.append(options.argmin(axis=0))
        least = options.min(axis=0)
    return _trace_back(choices, costs)


def _trace_back(choices: Sequence[npt.NDArray[np.int64]], costs: Sequence[npt.NDArray[np.int64]]) -> Entries:
    entries: list[int] = []
    cell = len(choices[0]) - 1
    for choice, layer_costs in zip(reversed(choices), reversed(costs), strict=True):
        entries.append(int(choice[cell]))
        cell -= int(layer_costs[entries[-1]])
    return tuple(reversed(entries))
