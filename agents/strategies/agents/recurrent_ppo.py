"""Proximal policy optimization with a recurrent policy, as sb3-contrib's RecurrentPPO.

The policy's LSTM sees the layers as the sequence that they are (Schulman et al. 2017, arXiv:1707.06347; Hochreiter and
Schmidhuber 1997). It knows no masks. The settings are those of `agents.strategies.agents.ppo`, as far as both have
them.
"""

from functools import partial

from agents.search.search import Search
from agents.strategies.agents.ppo import update_settings
from envs.plan_env import PlanEnv

N_EPOCHS = 4  # unrolling the LSTM is slow: ten took longer than judging plans
LSTM_UNITS = 32


def recurrent_ppo(search: Search) -> None:
    """Learn which layers to raise and which to lower; see `agents.search.search.Strategy`."""
    # Imported here, so that the table of strategies loads without torch.
    from sb3_contrib import RecurrentPPO

    from agents.strategies.agents.learning import learn, prefer_keeping_

    make_agent = partial(
        RecurrentPPO,
        "MlpLstmPolicy",
        n_epochs=N_EPOCHS,
        policy_kwargs={
            "net_arch": [],
            "lstm_hidden_size": LSTM_UNITS,
            "shared_lstm": True,
            "enable_critic_lstm": False,
        },
        **update_settings(search),
    )
    learn(search, PlanEnv, make_agent, prepare_=prefer_keeping_)
