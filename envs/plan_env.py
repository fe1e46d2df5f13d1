"""The search as a Markov decision process: one step per decision, the reward at the end."""

from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from envs.budget import Budget
from envs.observation import Observation, Observer
from envs.problem import CompressionProblem, PlanEvaluator
from envs.projection import fit_to_budget
from envs.rewards import Reward
from shrinkml.plan.compression_plan import CompressionPlan

REACH = 3  # options that one episode may move a decision away from the reference, up or down
KEEP = 0.75  # a standard normal action squashed by tanh, SAC's first policy, then moves every third decision


class PlanEnv(gymnasium.Env[Observation, np.int64]):
    """An environment that takes one option of every decision, in forward order.

    Observation: see `envs.observation.Observer`.

    Action, `Discrete`:
        without a reference: index of an option (as many actions as the most options of a decision);
        with one: 0 to 2 * reach, moves the decision by action - reach options; the middle leaves it to the budget.
        Disallowed actions (`action_masks`) are replaced by the nearest allowed one.

    Reward: 0, and at the last step that of the finished plan.

    Episode: terminates after one step per decision; is never truncated. Before the plan is judged it is fitted to the
    budget (`envs.projection`): decisions that were made in the episode move only when no other can. `info` of the last
    step holds `plan` and `wer`.

    Args:
        problem: decisions, options, budget.
        evaluate: judges the finished plan.
        reward: an entry of `envs.rewards.REWARDS`.
        reference: gives the plan that an episode's actions deviate from; asked when the episode starts.
        reach: see above; unused without a reference.

    Raises:
        PlanError: unreachable budget, or a reference that makes a choice which is no option.
    """

    def __init__(
        self,
        problem: CompressionProblem,
        evaluate: PlanEvaluator,
        *,
        reward: Reward,
        reference: Callable[[], CompressionPlan] | None = None,
        reach: int = REACH,
    ) -> None:
        self._problem = problem
        self._evaluate = evaluate
        self._reward = reward
        self._reach = reach
        self._budget = Budget.of(problem)
        self._energies = problem.retained_energies
        self._observer = Observer(self._budget, problem.decisions, self._energies, problem.losses_or_lost_energies)
        self._next_reference = reference
        self._n_actions = max(map(len, self._budget.weights)) if reference is None else 2 * reach + 1
        self.action_space = spaces.Discrete(self._n_actions)
        self.observation_space = self._observer.space
        self._start_episode()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Back to the first decision; nothing here is random."""
        super().reset(seed=seed)
        self._start_episode()
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Makes the present decision; after the last one, judges the plan."""
        self._settle(self._nearest_allowed(int(action)))
        self._present += 1
        if self._present < len(self._entries):
            return self._observe(), 0.0, False, False, {}
        plan = self._finished_plan()
        wer = self._evaluate(plan)
        return self._observe(), self._score(plan, wer), True, False, {"plan": plan, "wer": wer}

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """[n_actions] True where an action leaves the budget within reach."""
        affordable = self._budget.affordable(self._present, self._entries, self._pinned)
        allowed = np.isin(self._first_entry() + np.arange(self._n_actions), affordable)
        if self._reference is not None:
            allowed[self._reach] = True  # leaving a decision to the budget is always possible
        return allowed

    def _start_episode(self) -> None:
        self._present = 0
        self._reference = None if self._next_reference is None else self._budget.entries(self._next_reference())
        self._entries = list(self._budget.cheapest if self._reference is None else self._reference)
        self._pinned: set[int] = set()

    def _first_entry(self) -> int:
        """The entry that action 0 stands for; may be negative."""
        return 0 if self._reference is None else self._reference[self._present] - self._reach

    def _nearest_allowed(self, action: int) -> int:
        allowed = np.flatnonzero(self.action_masks())
        return int(allowed[np.argmin(np.abs(allowed - action))])

    def _settle(self, action: int) -> None:
        if self._reference is not None and action == self._reach:
            return
        self._entries[self._present] = self._first_entry() + action
        self._pinned.add(self._present)

    def _finished_plan(self) -> CompressionPlan:
        self._entries = list(fit_to_budget(self._entries, self._budget, self._energies, pinned=self._pinned))
        return self._budget.plan(self._entries)

    def _score(self, plan: CompressionPlan, wer: float) -> float:
        prices = self._problem.prices
        return self._reward(
            wer=wer,
            price=prices.price(plan),
            budget=self._problem.limit,
            original=prices.original,
            baseline_wer=self._problem.baseline_wer,
        )

    def _observe(self) -> Observation:
        return self._observer.observe(self._present, self._entries, self._pinned)


class ContinuousPlanEnv(gymnasium.Env[Observation, npt.NDArray[np.float32]]):
    """`PlanEnv` for agents with continuous actions (SAC, TD3, DDPG).

    Action, `Box` of one number in [-1, 1]:
        without a reference: mapped evenly onto the entries that the budget allows, from the first to the last;
        with one: up to `keep` in absolute value leaves the decision to the budget, beyond it moves it down or up,
        in equal steps to `reach` entries at -1 and 1.

    Observation, reward and episode are those of `PlanEnv`, which takes the same arguments.
    """

    discrete: ClassVar[type[PlanEnv]] = PlanEnv

    def __init__(
        self,
        problem: CompressionProblem,
        evaluate: PlanEvaluator,
        *,
        reward: Reward,
        reference: Callable[[], CompressionPlan] | None = None,
        reach: int = REACH,
        keep: float = KEEP,
    ) -> None:
        self._discrete = self.discrete(problem, evaluate, reward=reward, reference=reference, reach=reach)
        self._reach = None if reference is None else reach
        self._keep = keep
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space = self._discrete.observation_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Back to the first decision."""
        super().reset(seed=seed)
        return self._discrete.reset(seed=seed)

    def step(self, action: npt.NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Makes the present decision; after the last one, judges the plan."""
        return self._discrete.step(np.int64(self._to_discrete(float(action[0]))))

    def _to_discrete(self, value: float) -> int:
        if self._reach is None:
            allowed = np.flatnonzero(self._discrete.action_masks())
            return int(allowed[round((value + 1.0) / 2.0 * (len(allowed) - 1))])
        if abs(value) <= self._keep:
            return self._reach
        steps = min(self._reach, 1 + int((abs(value) - self._keep) / (1.0 - self._keep) * self._reach))
        return self._reach + (steps if value > 0 else -steps)
