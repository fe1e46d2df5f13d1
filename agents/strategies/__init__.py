"""Search strategies, one file each, and the one function that runs them. Loads no torch."""

from threadpoolctl import threadpool_limits

from agents.search.recorder import Recorder
from agents.search.search import Search, Strategy
from agents.search.search_result import OnTrial, Policy, SearchResult
from agents.strategies.agents.a2c import a2c
from agents.strategies.agents.ddpg import ddpg
from agents.strategies.agents.dqn import dqn
from agents.strategies.agents.ppo import ppo
from agents.strategies.agents.recurrent_ppo import recurrent_ppo
from agents.strategies.agents.sac import sac
from agents.strategies.agents.td3 import td3
from agents.strategies.baselines.by_type import by_type
from agents.strategies.baselines.divergence import divergence
from agents.strategies.baselines.energy import energy
from agents.strategies.baselines.evolution import evolution
from agents.strategies.baselines.greedy import greedy
from agents.strategies.baselines.knapsack import knapsack
from agents.strategies.baselines.nsga2 import nsga2
from agents.strategies.baselines.random import random
from agents.strategies.baselines.sensitivity import sensitivity
from agents.strategies.baselines.tpe import tpe
from agents.strategies.baselines.uniform import uniform
from agents.strategies.model_based.dyna import dyna
from agents.strategies.model_based.surrogate import surrogate
from envs.budget import Budget
from envs.expectation import expected_harms
from envs.problem import PlanEvaluator, RankProblem
from envs.retained_energy import retained_energies
from envs.rewards import REWARDS
from shrinkml.errors import ConfigError
from shrinkml.events import ShouldStop
from shrinkml.tables import look_up

AGENTS: dict[str, Strategy] = {
    "surrogate": surrogate,
    "dyna": dyna,
    "ppo": ppo,
    "recurrent_ppo": recurrent_ppo,
    "a2c": a2c,
    "dqn": dqn,
    "sac": sac,
    "td3": td3,
    "ddpg": ddpg,
}
BASELINES: dict[str, Strategy] = {
    "uniform": uniform,
    "energy": energy,
    "greedy": greedy,
    "divergence": divergence,
    "sensitivity": sensitivity,
    "by_type": by_type,
    "knapsack": knapsack,
    "random": random,
    "evolution": evolution,
    "tpe": tpe,
    "nsga2": nsga2,
}
STRATEGIES: dict[str, Strategy] = AGENTS | BASELINES
KEEPING = ("dyna",)  # that return a policy, and go on from one


def search_plans(
    strategy: str,
    problem: RankProblem,
    evaluate: PlanEvaluator,
    *,
    reward: str,
    evaluations: int,
    seed: int,
    policy: Policy | None = None,
    on_trial: OnTrial = lambda trial, n_done: None,
    should_stop: ShouldStop = lambda: False,
) -> SearchResult:
    """The best plan within the problem's budget after judging at most `evaluations` distinct plans.

    The same arguments give the same trials in the same order. A search that is stopped returns the best so far.

    Args:
        strategy: name in STRATEGIES.
        problem: what is searched.
        evaluate: judges a plan.
        reward: name in `envs.rewards.REWARDS`; only agents that learn by judged plans alone heed it.
        evaluations: plans that may be judged, those included that only measure a layer.
        seed: of everything random.
        policy: that an earlier search of the same strategy returned, to go on from; see KEEPING.
        on_trial: hears of each judged plan.
        should_stop: asked before each.

    Raises:
        UnknownNameError: no such strategy or reward.
        ConfigError: the strategy goes on from no policy, or not from that one.
        PlanError: no plan of the menus meets the budget.
        StoppedError: stopped before the first plan within the budget was judged.
    """
    if policy is not None and strategy not in KEEPING:
        raise ConfigError(f"a policy is given, and {strategy} goes on from none; allowed: {', '.join(KEEPING)}")
    explore = look_up(STRATEGIES, strategy, kind="strategy")
    score = look_up(REWARDS, reward, kind="reward")
    budget = Budget.of(problem)
    recorder = Recorder(problem, evaluate, evaluations=evaluations, on_trial=on_trial, should_stop=should_stop)
    energies, harms = retained_energies(problem, budget), expected_harms(problem, budget)
    # NumPy's own threads: its sums depend on them, and on a busy machine they wait for each other.
    with threadpool_limits(1, user_api="blas"):
        learned = explore(Search(problem, budget, energies, harms, score, seed, recorder, policy))
    return recorder.result(strategy, seed, learned)
