"""Deep Q-learning (Mnih et al. 2015), as Stable-Baselines3's DQN.

It knows no masks. An untrained net's values differ by chance, and by more than those of good plans do, so it starts
with equal values and a slight preference for leaving a layer alone. The other settings were chosen for the reasons
given, not tuned.
"""

from functools import partial

from agents.search.search import Search
from envs.plan_env import REACH, PlanEnv

EPSILON = 0.3  # share of random actions: with five actions they move every fourth layer, as evolution does
FIRST_PREFERENCE = 0.01  # about what the rewards of good plans differ by
TARGET_UPDATE_EPISODES = 10
HIDDEN_UNITS = 64


def dqn(search: Search) -> None:
    """Learn what raising or lowering each layer is worth; see `agents.search.search.Strategy`."""
    # Imported here, so that the table of strategies loads without torch.
    import torch
    from stable_baselines3 import DQN
    from stable_baselines3.common.base_class import BaseAlgorithm

    from agents.strategies.agents.learning import OFF_POLICY, learn

    def prefer_keeping_(agent: BaseAlgorithm) -> None:
        for net in ("q_net", "q_net_target"):
            *_, weight, bias = agent.policy.get_submodule(net).parameters()  # of the last layer
            with torch.no_grad():
                weight.zero_()
                bias.zero_()
                bias[REACH] = FIRST_PREFERENCE

    n_layers = len(search.budget.names)
    make_agent = partial(
        DQN,
        "MlpPolicy",
        learning_starts=0,  # its first, random actions would move nearly every layer
        target_update_interval=TARGET_UPDATE_EPISODES * n_layers,
        exploration_initial_eps=EPSILON,
        exploration_final_eps=EPSILON,
        policy_kwargs={"net_arch": [HIDDEN_UNITS]},
        **OFF_POLICY,
    )
    learn(search, PlanEnv, make_agent, prepare_=prefer_keeping_)
