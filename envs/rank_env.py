"""The rank search as a Markov decision process: one step per layer, the reward at the end."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from envs.budget import Budget
from envs.expectation import expected_harms
from envs.observation import Observation, Observer
from envs.problem import PlanEvaluator, RankProblem
from envs.projection import fit_to_budget
from envs.retained_energy import retained_energies
from envs.rewards import Reward
from shrinkml.plan.compression_plan import CompressionPlan

REACH = 3  # menu entries that one episode may move a layer away from the reference, up or down
KEEP = 0.75  # a standard normal action squashed by tanh, SAC's first policy, then moves every third layer


class RankEnv(gymnasium.Env[Observation, np.int64]):
    """Chooses a rank for every layer, in forward order.

    Observation: see `envs.observation.Observer`.

    Action, `Discrete`:
        without a reference: index into the layer's menu (as many actions as the longest menu);
        with one: 0 to 2 * reach, moves the layer by action - reach entries; the middle leaves the layer to the budget.
        Disallowed actions (`action_masks`) are replaced by the nearest allowed one.

    Reward: 0, and at the last step that of the finished plan.

    Episode: terminates after one step per layer; is never truncated. Before the plan is judged it is fitted to the
    budget (`envs.projection`): layers whose rank was chosen in the episode move only when no other can. `info` of the
    last step holds `plan` and `wer`.

    Args:
        problem: layers, menus, budget.
        evaluate: judges the finished plan.
        reward: an entry of `envs.rewards.REWARDS`.
        reference: gives the plan that an episode's actions deviate from; asked when the episode starts.
        reach: see above; unused without a reference.

    Raises:
        PlanError: unreachable budget, wrong menus or spectra, a reference that is not on the menus.
    """

    def __init__(
        self,
        problem: RankProblem,
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
        self._energies = retained_energies(problem, self._budget)
        self._observer = Observer(
            self._budget, problem.cost.layers, self._energies, expected_harms(problem, self._budget)
        )
        self._next_reference = reference
        self._n_actions = max(map(len, self._budget.menus)) if reference is None else 2 * reach + 1
        self.action_space = spaces.Discrete(self._n_actions)
        self.observation_space = self._observer.space
        self._start_episode()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Back to the first layer; nothing here is random."""
        super().reset(seed=seed)
        self._start_episode()
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Settles the present layer; after the last one, judges the plan."""
        self._settle(self._nearest_allowed(int(action)))
        self._layer += 1
        if self._layer < len(self._entries):
            return self._observe(), 0.0, False, False, {}
        plan = self._finished_plan()
        wer = self._evaluate(plan)
        return self._observe(), self._score(plan, wer), True, False, {"plan": plan, "wer": wer}

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """[n_actions] True where an action leaves the budget within reach."""
        n_affordable = self._budget.n_affordable(self._layer, self._entries, self._pinned)
        entries = self._first_entry() + np.arange(self._n_actions)
        allowed = (entries >= 0) & (entries < n_affordable)
        if self._reference is not None:
            allowed[self._reach] = True  # leaving a layer to the budget is always possible
        return allowed

    def _start_episode(self) -> None:
        self._layer = 0
        self._reference = None if self._next_reference is None else self._budget.entries(self._next_reference())
        self._entries = list(self._budget.cheapest if self._reference is None else self._reference)
        self._pinned: set[int] = set()

    def _first_entry(self) -> int:
        """The menu index that action 0 stands for; may be negative."""
        return 0 if self._reference is None else self._reference[self._layer] - self._reach

    def _nearest_allowed(self, action: int) -> int:
        allowed = np.flatnonzero(self.action_masks())
        return int(allowed[np.argmin(np.abs(allowed - action))])

    def _settle(self, action: int) -> None:
        if self._reference is not None and action == self._reach:
            return
        self._entries[self._layer] = self._first_entry() + action
        self._pinned.add(self._layer)

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
        return self._observer.observe(self._layer, self._entries, self._pinned)


class ContinuousRankEnv(gymnasium.Env[Observation, npt.NDArray[np.float32]]):
    """`RankEnv` for agents with continuous actions (SAC, TD3, DDPG).

    Action, `Box` of one number in [-1, 1]:
        without a reference: mapped evenly onto the entries that the budget allows, from the first to the last;
        with one: up to `keep` in absolute value leaves the layer to the budget, beyond it moves it down or up,
        in equal steps to `reach` entries at -1 and 1.

    Observation, reward and episode are those of `RankEnv`, which takes the same arguments.
    """

    def __init__(
        self,
        problem: RankProblem,
        evaluate: PlanEvaluator,
        *,
        reward: Reward,
        reference: Callable[[], CompressionPlan] | None = None,
        reach: int = REACH,
        keep: float = KEEP,
    ) -> None:
        self._discrete = RankEnv(problem, evaluate, reward=reward, reference=reference, reach=reach)
        self._reach = None if reference is None else reach
        self._keep = keep
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space = self._discrete.observation_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Back to the first layer."""
        super().reset(seed=seed)
        return self._discrete.reset(seed=seed)

    def step(self, action: npt.NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Settles the present layer; after the last one, judges the plan."""
        return self._discrete.step(np.int64(self._to_discrete(float(action[0]))))

    def _to_discrete(self, value: float) -> int:
        if self._reach is None:
            n_allowed = int(self._discrete.action_masks().sum())
            return round((value + 1.0) / 2.0 * (n_allowed - 1))
        if abs(value) <= self._keep:
            return self._reach
        steps = min(self._reach, 1 + int((abs(value) - self._keep) / (1.0 - self._keep) * self._reach))
        return self._reach + (steps if value > 0 else -steps)
