import numpy as np
import pytest
import torch
from sb3_contrib import RecurrentPPO

from agents.strategies.agents.learning import FIRST_KEEP
from agents.strategies.agents.recurrent_ppo import LSTM_UNITS, recurrent_ppo
from envs.plan_env import REACH
from envs.toys import separable


@pytest.fixture
def agent(untrained):
    return untrained(recurrent_ppo, RecurrentPPO, separable())


def probabilities_after(agent, before, now):
    """Of each action at `now`, when the step before showed `before`."""
    zeros = (torch.zeros(1, 1, LSTM_UNITS), torch.zeros(1, 1, LSTM_UNITS))
    shown = [torch.from_numpy(x)[None] for x in (before, now)]
    starts = torch.zeros(1)
    _, states = agent.policy.get_distribution(shown[0], zeros, starts)
    distribution, _ = agent.policy.get_distribution(shown[1], states, starts)
    return distribution.distribution.probs[0].detach().numpy()


def test_an_action_depends_on_the_layers_before(agent):
    rng = np.random.default_rng(0)
    first, other, now = rng.random((3, *agent.observation_space.shape), np.float32)
    assert (probabilities_after(agent, first, now) == probabilities_after(agent, first, now)).all()
    assert (probabilities_after(agent, first, now) != probabilities_after(agent, other, now)).any()


def test_its_first_policy_leaves_a_layer_alone_as_often_as_evolution_does(agent):
    first, now = np.random.default_rng(0).random((2, *agent.observation_space.shape), np.float32)
    assert probabilities_after(agent, first, now)[REACH] == pytest.approx(FIRST_KEEP, abs=0.02)
