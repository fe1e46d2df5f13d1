"""Problems whose best plan is known, which an agent must be able to find.

A toy judges plans by a formula in place of a recogniser. Each decision costs words, the more the more energy an option
loses, by a sensitivity of its own, which no spectrum shows; neighbours may make each other's word loss worse. The word
loss D of all decisions turns into WER as base + (1 - base) * (1 - exp(-D)). That is monotone, so the plan of least word
loss is the best one, and dynamic programming over decisions and prices finds it exactly (the multiple-choice knapsack
problem), once for each set of modules that may be dropped.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

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
        modules = {module: range(len(budget.weights[module])) for module in budget.children}
        ways = (dict(zip(modules, entries, strict=True)) for entries in product(*modules.values()))
        return min((plan for plan in map(self._best_with, ways) if plan is not None), key=self.evaluate)

    def _best_with(self, modules: Mapping[int, int]) -> CompressionPlan | None:
        """The best plan with those entries of decisions about `modules`; None where none meets the budget."""
        budget = Budget.of(self.problem)
        lasts = [len(prices) - 1 for prices in budget.weights]
        gone = {i for i in budget.parents if budget.is_gone(i, [modules.get(j, 0) for j in range(len(lasts))])}
        settled = {**modules, **{i: lasts[i] for i in gone}}
        open_ = [(settled[i],) if i in settled else range(last + 1) for i, last in enumerate(lasts)]
        prices = [
            np.array([0 if i in gone else budget.weights[i][entry] for entry in row]) for i, row in enumerate(open_)
        ]
        extra = [row - row[0] for row in prices]
        unit = max(1, int(np.gcd.reduce(np.concatenate(extra))))
        n_cells = (budget.limit - sum(int(row[0]) for row in prices)) // unit + 1
        if n_cells < 1:
            return None
        lost = [[losses[entry] for entry in row] for losses, row in zip(self.word_losses, open_, strict=True)]
        found = self._cheapest(lost, [row // unit for row in extra], n_cells)
        return budget.plan([row[entry] for row, entry in zip(open_, found, strict=True)])

    def _cheapest(
        self, lost: Sequence[Sequence[float]], costs: Sequence[npt.NDArray[np.int64]], n_cells: int
    ) -> list[int]:
        """The entry of each decision in the plan of least word loss that costs less than `n_cells`."""
        least = np.full((1, n_cells), 0.0)  # [entry of the layer before, units still unspent]
        sources: list[npt.NDArray[np.int64]] = []
        before: Sequence[float] = (0.0,)
        for losses, dear in zip(lost, costs, strict=True):
            joint = np.array([[self._joint(a, b) for a in before] for b in losses])
            reached = np.full((len(losses), n_cells), np.inf)
            source = np.zeros((len(losses), n_cells), dtype=np.int64)
            for entry, cost in enumerate(dear):
                if cost < n_cells:
                    options = least[:, cost:] + joint[entry][:, None]
                    source[entry, : n_cells - cost] = options.argmin(axis=0)
                    reached[entry, : n_cells - cost] = options.min(axis=0) + losses[entry]
            least, before = reached, losses
            sources.append(source)
        return _trace_back(least, sources, costs)

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
