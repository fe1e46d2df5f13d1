"""Search strategies, one file each, all with the signature of `agents.strategy.Strategy`. Loads no torch."""

from agents.strategies.evolution import evolution
from agents.strategies.greedy import greedy
from agents.strategies.ppo import ppo
from agents.strategies.random import random
from agents.strategies.sac import sac
from agents.strategies.uniform import uniform
from agents.strategy import Strategy

STRATEGIES: dict[str, Strategy] = {
    "ppo": ppo,
    "sac": sac,
    "evolution": evolution,
    "random": random,
    "greedy": greedy,
    "uniform": uniform,
}
