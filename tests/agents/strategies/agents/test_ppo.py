import pytest
import torch
from sb3_contrib import MaskablePPO

from agents.strategies.agents.learning import FIRST_KEEP
from agents.strategies.agents.ppo import EPISODES_PER_UPDATE, ppo, update_settings
from envs.plan_env import REACH
from envs.toys import separable
from tests.agents.toy_search import search


def test_it_takes_only_actions_that_its_mask_allows(actions_allowed):
    search("ppo", separable(), evaluations=20)
    assert len(actions_allowed) >= 18 * 6  # steps: two plans are the cheap ones, of six layers each
    assert all(actions_allowed)


def test_its_first_policy_leaves_a_layer_alone_as_often_as_evolution_does(untrained):
    agent = untrained(ppo, MaskablePPO, separable())
    seen = torch.rand(64, *agent.observation_space.shape, generator=torch.Generator().manual_seed(0))
    probabilities = agent.policy.get_distribution(seen).distribution.probs
    assert probabilities[:, REACH].tolist() == pytest.approx([FIRST_KEEP] * 64, abs=0.02)


def test_an_update_is_of_whole_episodes_in_one_batch(make_search):
    settings = update_settings(make_search(separable()))
    assert settings["n_steps"] == settings["batch_size"] == EPISODES_PER_UPDATE * 6  # layers
