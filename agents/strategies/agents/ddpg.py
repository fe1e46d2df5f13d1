"""Deep deterministic policy gradients (Lillicrap et al. 2015, arXiv:1509.02971), as Stable-Baselines3's DDPG.

Its settings were chosen for the reasons given, not tuned.
"""

from functools import partial

from agents.search.search import Search
from envs.plan_env import ContinuousPlanEnv

HIDDEN_UNITS = 64


def ddpg(search: Search) -> None:
    """Learn how far to raise or lower each layer; see `agents.search.search.Strategy`."""
    # Imported here, so that the table of strategies loads without torch.
    from stable_baselines3 import DDPG

    from agents.strategies.agents.learning import OFF_POLICY, exploration_noise, learn

    make_agent = partial(
        DDPG,
        "MlpPolicy",
        learning_starts=len(search.budget.names),
        action_noise=exploration_noise(),
        policy_kwargs={"net_arch": [HIDDEN_UNITS]},
        **OFF_POLICY,
    )
    learn(search, ContinuousPlanEnv, make_agent)
