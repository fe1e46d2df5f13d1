"""Advantage actor-critic (Mnih et al. 2016, arXiv:1602.01783), as Stable-Baselines3's A2C.

It knows no masks. Its settings were chosen for the reasons given, not tuned.
"""

from functools import partial

from agents.search.search import Search
from envs.plan_env import PlanEnv

EPISODES_PER_UPDATE = 4  # each is one gradient step: half of PPO's, for more of them
GAE_LAMBDA = 1.0  # the reward comes once, at the end
LEARNING_RATE = 3e-3  # about four times the default: few updates
ENT_COEF = 0.01  # as PPO's
HIDDEN_UNITS = 32


def a2c(search: Search) -> None:
    """Learn which layers to raise and which to lower; see `agents.search.search.Strategy`."""
    # Imported here, so that the table of strategies loads without torch.
    from stable_baselines3 import A2C

    from agents.strategies.agents.learning import learn, prefer_keeping_

    make_agent = partial(
        A2C,
        "MlpPolicy",
        learning_rate=LEARNING_RATE,
        n_steps=EPISODES_PER_UPDATE * len(search.budget.names),
        gae_lambda=GAE_LAMBDA,
        ent_coef=ENT_COEF,
        normalize_advantage=True,  # rewards of good plans differ by about 0.01
        policy_kwargs={"net_arch": [HIDDEN_UNITS]},
    )
    learn(search, PlanEnv, make_agent, prepare_=prefer_keeping_)
