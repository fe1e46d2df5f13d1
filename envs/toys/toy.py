"""Problems whose best plan is known, which an agent must be able to find.

A toy judges plans by a formula in place of a recogniser. Each decision costs words, the more the more energy an option
loses, by a sensitivity of its own, which no spectrum shows; neighbours may make each other's word loss worse. The word
loss D of all decisions turns into WER as base + (1 - base) * (1 - exp(-D)). That is monotone, so the plan of least word
loss is the best one, and dynamic programming over decisions and prices finds it exactly (the multiple-choice knapsack
problem).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from envs.budget import Budget
from envs.decision import PerOption
from envs.problem import CompressionProblem
from shrinkml.plan.compression_plan import CompressionPlan

BASE_WER = 0.01


@dataclass(frozen=True, slots=True)
class Toy:
    """A problem and its judge; picklable.

    Attributes:
        problem: what a strategy is given.
        word_losses: of each option of each decision (`envs.word_loss`).
        coupling: two neighbours add this times the geometric mean of their word losses; 0 makes decisions independent.
    """

    problem: CompressionProblem
    word_losses: PerOption
    coupling: float = 0.0

    def evaluate(self, plan: CompressionPlan) -> float:
        """The WER of `plan`."""
        entries = Budget.of(self.problem).entries(plan)
        lost = [row[entry] for row, entry in zip(self.word_losses, entries, strict=True)]
        total = sum(lost) + sum(self._joint(a, b) for a, b in pairwise(lost))
        return BASE_WER + (1.0 - BASE_WER) * (1.0 - math.exp(-total))

    def best_plan(self) -> CompressionPlan:
        """A plan of the lowest WER within the budget."""
        budget = Budget.of(self.problem)
        extra = [np.asarray(prices) - prices[0] for prices in budget.weights]
        unit = max(1, int(np.gcd.reduce(np.concatenate(extra))))
        n_cells = (budget.limit - budget.spent(budget.cheapest)) // unit + 1
        least = np.full((1, n_cells), 0.0)  # [entry of the layer before, units still unspent]
        sources: list[npt.NDArray[np.int64]] = []
        before: Sequence[float] = (0.0,)
        for losses, costs in zip(self.word_losses, extra, strict=True):
            joint = np.array([[self._joint(a, b) for a in before] for b in losses])
            reached = np.full((len(losses), n_cells), np.inf)
            source = np.zeros((len(losses), n_cells), dtype=np.int64)
            for entry, cost in enumerate(costs // unit):
                if cost < n_cells:
                    options = least[:, cost:] + joint[entry][:, None]
                    source[entry, : n_cells - cost] = options.argmin(axis=0)
                    reached[entry, : n_cells - cost] = options.min(axis=0) + losses[entry]
            least, before = reached, losses
            sources.append(source)
        return budget.plan(_trace_back(least, sources, [costs // unit for costs in extra]))

    def _joint(self, a: float, b: float) -> float:
        return self.coupling * math.sqrt(a * b)


def telling(toy: Toy, tokens_per_utterance: float = 1.0) -> Toy:
    """`toy`, its word losses told as the expected losses of utterances of so many tokens."""
    decisions = tuple(
        replace(
            decision,
            options=tuple(
                replace(option, expected_loss=lost / tokens_per_utterance)
                for option, lost in zip(decision.options, row, strict=True)
            ),
        )
        for decision, row in zip(toy.problem.decisions, toy.word_losses, strict=True)
    )
    return replace(toy, problem=replace(toy.problem, decisions=decisions, tokens_per_utterance=tokens_per_utterance))


def _trace_back(
    least: npt.NDArray[np.float64],
    sources: Sequence[npt.NDArray[np.int64]],
    costs: Sequence[npt.NDArray[np.int64]],
) -> list[int]:
    """The entries that lead to the least word loss in the table of the last layer."""
    entry, cell = (int(i) for i in np.unravel_index(least.argmin(), least.shape))
    entries = [entry]
    for source, cost in zip(reversed(sources[1:]), reversed(costs[1:]), strict=True):
        previous = int(source[entry, cell])
        cell += int(cost[entry])
        entry = previous
        entries.insert(0, entry)
    return entries
