"""Learning with the agents of Stable-Baselines3: what they share. Importing this loads torch.

Every agent starts from the better of the cheap plans, which are judged first, and every episode deviates from the best
plan so far: so none can end below them. The budget stays within reach whether or not an agent knows masks. PPO is told
which actions are allowed; for the other discrete agents the environment takes the nearest allowed action instead, and
continuous actions are mapped onto the allowed ones.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise

from agents.search.recorder import Recorder
from agents.search.search import Search
from agents.strategies.agents.reproducible import reproducible
from agents.strategies.starts import judge_starts
from envs.plan_env import KEEP, REACH, ContinuousPlanEnv, PlanEnv

NO_LIMIT = 10**9  # steps; the recorder ends the search
GAMMA = 1.0  # every layer counts the same, wherever it stands
FIRST_KEEP = 0.75  # probability with which a first policy leaves a layer alone: evolution's mutation rate
OFF_POLICY: dict[str, Any] = {
    "buffer_size": 100_000,  # steps; all of a search of a few thousand episodes
    "batch_size": 128,
    "train_freq": (1, "episode"),
    "gradient_steps": 4,  # after each episode; one per step, as usual, would take longer than judging a plan does
    "learning_rate": 1e-3,  # SAC's default is a third of it, DQN's a tenth: few updates
}
SETTLED = 5  # plans in a row that were judged before, after which a policy counts as settled


class EndWhenSettled(BaseCallback):
    """Ends learning after an episode when the recorder has finished, or when the policy proposes nothing new."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder
        self._repeats = 0

    def _on_step(self) -> bool:
        if not self.locals["dones"][0]:
            return True
        self._repeats = self._repeats + 1 if self._recorder.repeats else 0
        return not self._recorder.finished and self._repeats < SETTLED


def learn(
    search: Search,
    environment: type[PlanEnv] | type[ContinuousPlanEnv],
    make_agent: Callable[..., BaseAlgorithm],
    *,
    prepare_: Callable[[BaseAlgorithm], None] | None = None,
) -> None:
    """Train agents until the search has finished; prints nothing and writes no file.

    A policy earns most by proposing the best known plan again, which tells nothing new. When it has settled on that, a
    fresh agent takes over around the same plan.

    Args:
        search: see there.
        environment: discrete or continuous actions.
        make_agent: builds an untrained agent from `env`, `gamma`, `seed` and `device`.
        prepare_: changes an untrained agent's policy in place.
    """
    recorder = search.recorder
    judge_starts(search)
    if recorder.finished:
        return
    env = environment(search.problem, recorder, reward=search.reward, reference=lambda: recorder.best.plan)
    seeds = np.random.default_rng(search.seed)
    with reproducible():
        while not recorder.finished:
            agent = make_agent(env=env, gamma=GAMMA, seed=int(seeds.integers(2**31)), device="cpu")
            if prepare_ is not None:
                prepare_(agent)
            agent.set_logger(Logger(folder=None, output_formats=[]))
            agent.learn(NO_LIMIT, callback=EndWhenSettled(recorder), log_interval=NO_LIMIT)


def prefer_keeping_(agent: BaseAlgorithm) -> None:
    """Sets the bias of a discrete policy so that, untrained, it leaves a layer alone with probability FIRST_KEEP."""
    bias = agent.policy.get_parameter("action_net.bias")
    with torch.no_grad():
        bias[REACH] = math.log((len(bias) - 1) * FIRST_KEEP / (1.0 - FIRST_KEEP))


def exploration_noise() -> NormalActionNoise:
    """Noise for a deterministic policy: around an action of 0 it leaves a layer alone with probability FIRST_KEEP."""
    sigma = KEEP / NormalDist().inv_cdf((1.0 + FIRST_KEEP) / 2.0)
    return NormalActionNoise(mean=np.zeros(1), sigma=np.full(1, sigma))
