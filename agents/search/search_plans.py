"""One search by any strategy. Loads no torch."""

from threadpoolctl import threadpool_limits

from agents.search.recorder import Recorder
from agents.search.search import Search
from agents.search.search_result import OnTrial, Policy, SearchResult
from agents.strategies.strategies import STRATEGIES, check_keeps_policy
from envs.problem import CompressionProblem, PlanEvaluator
from envs.rewards import REWARDS
from shrinkml.errors import StoppedError
from shrinkml.events import ShouldStop
from shrinkml.tables import look_up


def search_plans(
    strategy: str,
    problem: CompressionProblem,
    evaluate: PlanEvaluator,
    *,
    reward: str,
    evaluations: int,
    seed: int,
    policy: Policy | None = None,
    on_trial: OnTrial = lambda trial, n_done: None,
    should_stop: ShouldStop = lambda: False,
) -> SearchResult:
    """Return the best plan within the problem's budget after judging at most `evaluations` distinct plans.

    The same arguments give the same trials in the same order. A search that is stopped returns the best so far.

    Args:
        strategy: name in `agents.strategies.strategies.STRATEGIES`.
        problem: what is searched.
        evaluate: judges a plan.
        reward: name in `envs.rewards.REWARDS`; only agents that learn by judged plans alone use it.
        evaluations: plans that may be judged, those included that only measure a layer.
        seed: of everything random.
        policy: that an earlier search of the same strategy returned, to go on from; see `keeps_policy`.
        on_trial: called with each judged plan.
        should_stop: asked before each; `evaluate` may raise StoppedError meanwhile.

    Raises:
        UnknownNameError: no such strategy or reward.
        ConfigError: the strategy goes on from no policy, or not from that one.
        PlanError: no plan of the menus meets the budget.
        StoppedError: stopped before the first plan within the budget was judged.
    """
    row = look_up(STRATEGIES, strategy, kind="strategy")
    score = look_up(REWARDS, reward, kind="reward")
    if policy is not None:
        check_keeps_policy(strategy)
    recorder = Recorder(problem, evaluate, evaluations=evaluations, on_trial=on_trial, should_stop=should_stop)
    search = Search.of(problem, recorder, reward=score, seed=seed, policy=policy)
    # NumPy's own threads: its sums depend on them, and on a busy machine they wait for each other.
    with threadpool_limits(1, user_api="blas"):
        try:
            learned = row.explore(search)
        except StoppedError:  # while a plan was judged
            learned = None
    return recorder.result(strategy, seed, learned)
