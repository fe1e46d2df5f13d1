import pytest
import torch
from stable_baselines3 import A2C

from agents.strategies.agents.a2c import EPISODES_PER_UPDATE, a2c
from agents.strategies.agents.learning import FIRST_KEEP
from envs.plan_env import REACH
from envs.toys import separable
from tests.agents.toy_search import search


def test_it_knows_no_masks_and_stays_within_the_budget_all_the_same(actions_allowed):
    toy = separable()
    result = search("a2c", toy, evaluations=20)
    assert not all(actions_allowed), "the environment takes the nearest allowed action instead"
    assert all(toy.problem.admits(trial.plan) for trial in result.trials)


def test_its_first_policy_leaves_a_layer_alone_as_often_as_evolution_does(untrained):
    agent = untrained(a2c, A2C, separable())
    seen = torch.rand(64, *agent.observation_space.shape, generator=torch.Generator().manual_seed(0))
    probabilities = agent.policy.get_distribution(seen).distribution.probs
    assert probabilities[:, REACH].tolist() == pytest.approx([FIRST_KEEP] * 64, abs=0.02)


def test_an_update_is_of_whole_episodes(untrained):
    assert untrained(a2c, A2C, separable()).n_steps == EPISODES_PER_UPDATE * 6  # layers
