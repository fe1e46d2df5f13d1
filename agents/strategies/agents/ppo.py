"""Proximal policy optimization with masked actions, as sb3-contrib's MaskablePPO.

The agent starts from the best cheap plan, and every episode deviates from the best plan so far; with absolute actions
it found less in as many evaluations. The settings were compared on `envs.toys.recogniser` (four compression ratios,
three to five seeds, 150 evaluations, 3 % noise), where most of their differences are within the noise: up to that
number, proposing near the best plan gives most of the gain, and what the policy learns beyond that little.

References:
    Schulman et al. 2017, Proximal Policy Optimization Algorithms, arXiv:1707.06347.
    Huang and Ontanon 2020, A Closer Look at Invalid Action Masking in Policy Gradient Algorithms, arXiv:2006.14171.
"""

from functools import partial
from typing import Any

from agents.search.search import Search
from envs.plan_env import PlanEnv

EPISODES_PER_UPDATE = 8  # 4 was worse, 16 no better
N_EPOCHS = 10  # Stable-Baselines3's default
GAE_LAMBDA = 1.0  # the reward comes once, at the end: a young value net is no better guide than the return itself
LEARNING_RATE = 3e-3  # ten times the default, for a tenth of the usual updates; 1e-2 was no better
ENT_COEF = 0.01  # without it the policy can settle on the reference and propose nothing new
HIDDEN_UNITS = 32


def ppo(search: Search) -> None:
    """Learn which layers to raise and which to lower; see `agents.search.search.Strategy`."""
    # Imported here, so that the table of strategies loads without torch.
    from sb3_contrib import MaskablePPO

    from agents.strategies.agents.learning import learn, prefer_keeping_

    make_agent = partial(
        MaskablePPO,
        "MlpPolicy",
        n_epochs=N_EPOCHS,
        policy_kwargs={"net_arch": [HIDDEN_UNITS]},
        **update_settings(search),
    )
    learn(search, PlanEnv, make_agent, prepare_=prefer_keeping_)


def update_settings(search: Search) -> dict[str, Any]:
    """Settings by which every form of PPO updates its policy: whole episodes, all in one batch."""
    n_steps = EPISODES_PER_UPDATE * len(search.budget.names)
    return {
        "learning_rate": LEARNING_RATE,
        "n_steps": n_steps,
        "batch_size": n_steps,
        "gae_lambda": GAE_LAMBDA,
        "ent_coef": ENT_COEF,
    }
