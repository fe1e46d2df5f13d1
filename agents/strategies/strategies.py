"""The table of strategies. Loads no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.search.search import Strategy
from agents.search.search_result import Policy
from agents.strategies.agents.a2c import a2c
from agents.strategies.agents.ddpg import ddpg
from agents.strategies.agents.dqn import dqn
from agents.strategies.agents.ppo import ppo
from agents.strategies.agents.recurrent_ppo import recurrent_ppo
from agents.strategies.agents.sac import sac
from agents.strategies.agents.td3 import td3
from agents.strategies.baselines.by_type import by_type
from agents.strategies.baselines.energy import energy
from agents.strategies.baselines.evolution import evolution
from agents.strategies.baselines.greedy import greedy
from agents.strategies.baselines.knapsack import knapsack
from agents.strategies.baselines.least_expected import least_expected_loss
from agents.strategies.baselines.nsga2 import nsga2
from agents.strategies.baselines.random import random
from agents.strategies.baselines.sensitivity import sensitivity
from agents.strategies.baselines.tpe import tpe
from agents.strategies.baselines.uniform import uniform
from agents.strategies.model_based.dyna import dyna
from agents.strategies.model_based.kept_policy import read_policy
from agents.strategies.model_based.surrogate import surrogate
from shrinkml.errors import ConfigError
from shrinkml.job import SearchSpec


@dataclass(frozen=True, slots=True)
class StrategyRow:
    """One strategy.

    Attributes:
        explore: searches.
        kind: an agent learns from the plans that it has judged; a baseline is what agents are compared with.
        keeps_policy: True where it returns a policy, and goes on from one.
    """

    explore: Strategy
    kind: Literal["agent", "baseline"]
    keeps_policy: bool = False


STRATEGIES: dict[str, StrategyRow] = {
    "surrogate": StrategyRow(surrogate, "agent"),
    "dyna": StrategyRow(dyna, "agent", keeps_policy=True),
    "ppo": StrategyRow(ppo, "agent"),
    "recurrent_ppo": StrategyRow(recurrent_ppo, "agent"),
    "a2c": StrategyRow(a2c, "agent"),
    "dqn": StrategyRow(dqn, "agent"),
    "sac": StrategyRow(sac, "agent"),
    "td3": StrategyRow(td3, "agent"),
    "ddpg": StrategyRow(ddpg, "agent"),
    "uniform": StrategyRow(uniform, "baseline"),
    "energy": StrategyRow(energy, "baseline"),
    "greedy": StrategyRow(greedy, "baseline"),
    "divergence": StrategyRow(least_expected_loss, "baseline"),
    "sensitivity": StrategyRow(sensitivity, "baseline"),
    "by_type": StrategyRow(by_type, "baseline"),
    "knapsack": StrategyRow(knapsack, "baseline"),
    "random": StrategyRow(random, "baseline"),
    "evolution": StrategyRow(evolution, "baseline"),
    "tpe": StrategyRow(tpe, "baseline"),
    "nsga2": StrategyRow(nsga2, "baseline"),
}


def asked_policy(search: SearchSpec) -> Policy | None:
    """Return the policy that `search` names for its strategy to go on from; None where it names none.

    Raises:
        ConfigError: the strategy goes on from none, or there is none.
    """
    if search.policy is None:
        return None
    check_keeps_policy(search.strategy)
    return read_policy(Path(search.policy))


def check_keeps_policy(strategy: str) -> None:
    """Return where the strategy of that name goes on from a policy.

    Raises:
        ConfigError: it goes on from none.
    """
    if not STRATEGIES[strategy].keeps_policy:
        allowed = ", ".join(name for name, row in STRATEGIES.items() if row.keeps_policy)
        raise ConfigError(f"a policy is given, and {strategy} goes on from none; allowed: {allowed}")
