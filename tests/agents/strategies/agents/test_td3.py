import numpy as np
import pytest
from stable_baselines3 import TD3

from agents.strategies.agents.learning import FIRST_KEEP
from agents.strategies.agents.reproducible import reproducible
from agents.strategies.agents.td3 import td3
from envs.plan_env import KEEP
from envs.toys import separable


@pytest.fixture
def agent(untrained):
    return untrained(td3, TD3, separable())


def test_noise_around_an_action_of_zero_leaves_a_layer_alone_as_often_as_evolution_does(agent):
    with reproducible():
        np.random.seed(0)
        noise = np.concatenate([agent.action_noise() for _ in range(4000)])
    assert (np.abs(noise) <= KEEP).mean() == pytest.approx(FIRST_KEEP, abs=0.03)  # four standard errors


def test_two_critics_judge_and_the_policy_learns_at_every_second_step_of_theirs(agent):
    assert len(agent.critic.q_networks) == 2
    assert agent.policy_delay == 2


def test_one_episode_of_random_actions_comes_first(agent):
    assert agent.learning_starts == 6  # layers
