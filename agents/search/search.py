"""What a strategy is given, the same for agents and baselines."""

from dataclasses import dataclass
from typing import Protocol

from agents.search.recorder import Recorder
from agents.search.search_result import Policy
from envs.budget import Budget
from envs.expectation import Harms
from envs.problem import RankProblem
from envs.retained_energy import Energies
from envs.rewards import Reward


@dataclass(frozen=True, slots=True)
class Search:
    """One search.

    Attributes:
        problem: what is searched.
        budget: its prices and their limit.
        energies: what each menu entry of each layer keeps of its spectrum.
        harms: what each menu entry of each layer is expected to cost in accuracy.
        reward: what an agent's episode is worth.
        seed: of everything random.
        recorder: judges plans, remembers them, and says when to end.
        policy: that an earlier search of the same strategy has learned, to go on from.
    """

    problem: RankProblem
    budget: Budget
    energies: Energies
    harms: Harms
    reward: Reward
    seed: int
    recorder: Recorder
    policy: Policy | None = None


class Strategy(Protocol):
    """A way to search; agents and baselines are interchangeable."""

    def __call__(self, search: Search) -> Policy | None:
        """Has plans judged by `search.recorder`, until that has finished or there is nothing left to propose.

        Returns what it has learned, if that is something to start other searches from.

        The same search gives the same trials in the same order. Nothing is judged after the recorder has finished.

        Raises:
            StoppedError: stopped before the first plan was judged.
        """
        ...
