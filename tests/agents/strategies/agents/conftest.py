"""The agents that strategies build, before they learn; and the actions that they take while they do."""

from collections.abc import Callable

import numpy as np
import pytest
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.search.search import Strategy
from envs.plan_env import PlanEnv
from envs.toys import Toy


@pytest.fixture
def untrained(make_search, monkeypatch) -> Callable[..., BaseAlgorithm]:
    """Return the first agent of a strategy, ready to learn and untrained."""

    def make(strategy: Strategy, algorithm: type[BaseAlgorithm], toy: Toy) -> BaseAlgorithm:
        made: list[BaseAlgorithm] = []
        monkeypatch.setattr(algorithm, "learn", lambda agent, *_, **__: made.append(agent))
        strategy(make_search(toy, evaluations=100, should_stop=lambda: bool(made)))
        (agent,) = made
        return agent

    return make


@pytest.fixture
def actions_allowed(monkeypatch) -> list[bool]:
    """For each action that an agent takes from now on: True where its mask allows it."""
    allowed: list[bool] = []
    step = PlanEnv.step

    def watched(env: PlanEnv, action: np.int64):
        allowed.append(bool(env.action_masks()[int(action)]))
        return step(env, action)

    monkeypatch.setattr(PlanEnv, "step", watched)
    return allowed
