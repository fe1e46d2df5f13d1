"""Soft actor-critic on continuous actions (Haarnoja et al. 2018, arXiv:1801.01290), as Stable-Baselines3's SAC.

Its settings were chosen for the reasons given, not tuned.
"""

from functools import partial

from agents.search.search import Search
from envs.plan_env import ContinuousPlanEnv

ENT_COEF = (
    "auto_0.001"  # rewards of good plans differ by about 0.01, so entropy must not start at SAC's usual weight of 1
)
TARGET_ENTROPY = 0.3  # nats, of at most log 2: the usual -1 would mean hardly ever to move a layer
HIDDEN_UNITS = 64


def sac(search: Search) -> None:
    """Learn how far to raise or lower each layer; see `agents.search.search.Strategy`."""
    # Imported here, so that the table of strategies loads without torch.
    from stable_baselines3 import SAC

    from agents.strategies.agents.learning import OFF_POLICY, learn

    make_agent = partial(
        SAC,
        "MlpPolicy",
        learning_starts=len(search.budget.names),
        ent_coef=ENT_COEF,
        target_entropy=TARGET_ENTROPY,
        policy_kwargs={"net_arch": [HIDDEN_UNITS]},
        **OFF_POLICY,
    )
    learn(search, ContinuousPlanEnv, make_agent)
