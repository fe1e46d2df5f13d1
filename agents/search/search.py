"""The search that a strategy is given, the same for agents and baselines."""

from dataclasses import dataclass
from typing import Protocol, Self

from agents.search.recorder import Recorder
from agents.search.search_result import Policy
from envs.budget import Budget
from envs.decision import PerOption
from envs.problem import CompressionProblem
from envs.rewards import Reward


@dataclass(frozen=True, slots=True)
class Search:
    """One search.

    Attributes:
        problem: what is searched.
        budget: its prices and their limit.
        energies: the share of its energy that each option keeps.
        losses: expected of each option, in nats per token; the share of energy lost where nothing is expected.
        reward: what an agent's episode is worth.
        seed: of everything random.
        recorder: judges plans, remembers them, and says when to end.
        policy: that an earlier search of the same strategy has learned, to go on from.
    """

    problem: CompressionProblem
    budget: Budget
    energies: PerOption
    losses: PerOption
    reward: Reward
    seed: int
    recorder: Recorder
    policy: Policy | None = None

    @classmethod
    def of(
        cls,
        problem: CompressionProblem,
        recorder: Recorder,
        *,
        reward: Reward,
        seed: int = 0,
        policy: Policy | None = None,
    ) -> Self:
        """The search of `problem`; for the arguments see the attributes.

        Raises:
            PlanError: no plan meets the budget.
        """
        energies, losses = problem.retained_energies, problem.losses_or_lost_energies
        return cls(problem, Budget.of(problem), energies, losses, reward, seed, recorder, policy)


class Strategy(Protocol):
    """A way to search; agents and baselines are interchangeable."""

    def __call__(self, search: Search) -> Policy | None:
        """Have plans judged by `search.recorder`, until that has finished or there is nothing left to propose.

        Returns what it has learned, if that is something to start other searches from.

        The same search gives the same trials in the same order. Nothing is judged after the recorder has finished.

        Raises:
            StoppedError: stopped before the first plan was judged.
        """
        ...
