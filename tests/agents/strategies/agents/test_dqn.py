import numpy as np
import pytest
import torch
from stable_baselines3 import DQN

from agents.strategies.agents.dqn import EPSILON, FIRST_PREFERENCE, dqn
from envs.plan_env import REACH
from envs.toys import separable


@pytest.fixture
def agent(untrained):
    return untrained(dqn, DQN, separable())


@pytest.mark.parametrize("net", ["q_net", "q_net_target"])
def test_its_first_values_are_equal_but_for_a_slight_preference_for_keeping(agent, net):
    seen = torch.rand(64, *agent.observation_space.shape, generator=torch.Generator().manual_seed(0))
    values = getattr(agent, net)(seen).detach().numpy()
    equal = np.zeros_like(values)
    equal[:, REACH] = FIRST_PREFERENCE
    assert values == pytest.approx(equal)


def test_every_net_learns_from_equal_values_on(agent):
    seen = torch.ones(1, *agent.observation_space.shape)
    agent.q_net(seen)[0, 0].backward()
    *_, weight, _ = agent.q_net.parameters()
    assert weight.grad.abs().max() > 0.0


def test_the_share_of_random_actions_is_the_same_all_along(agent):
    assert [agent.exploration_schedule(left) for left in (1.0, 0.5, 0.0)] == [EPSILON] * 3
