import numpy as np
import pytest
import torch
from stable_baselines3 import SAC

from agents.strategies.agents.reproducible import reproducible
from agents.strategies.agents.sac import TARGET_ENTROPY, sac
from envs.plan_env import KEEP
from envs.toys import separable


@pytest.fixture
def agent(untrained):
    return untrained(sac, SAC, separable())


def test_its_first_policy_moves_some_layers_and_leaves_most_alone(agent):
    seen = np.random.default_rng(0).random((2000, *agent.observation_space.shape), np.float32)
    with reproducible():
        torch.manual_seed(0)
        actions, _ = agent.predict(seen)
    assert 0.1 < (np.abs(actions) > KEEP).mean() < 0.5


def test_entropy_weighs_a_thousandth_at_first_and_is_held_below_that_of_even_actions(agent):
    assert agent.log_ent_coef.exp().item() == pytest.approx(0.001)
    assert agent.target_entropy == TARGET_ENTROPY < np.log(2.0)  # of even actions in [-1, 1]


def test_one_episode_of_random_actions_comes_first(agent):
    assert agent.learning_starts == 6  # layers
