"""The search for one rank per layer as a Markov decision process: `PlanEnv`, where every option is a rank."""

from collections.abc import Callable
from typing import ClassVar

from envs.plan_env import KEEP, REACH, ContinuousPlanEnv, PlanEnv
from envs.problem import CompressionProblem, PlanEvaluator
from envs.rewards import Reward
from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan

__all__ = ["KEEP", "REACH", "ContinuousRankEnv", "RankEnv"]


class RankEnv(PlanEnv):
    """An environment that gives every layer a rank of its menu, or leaves it as it is, in forward order.

    Everything else, arguments included, is as in `envs.plan_env.PlanEnv`.

    Raises:
        PlanError: an option is more than a rank.
    """

    def __init__(
        self,
        problem: CompressionProblem,
        evaluate: PlanEvaluator,
        *,
        reward: Reward,
        reference: Callable[[], CompressionPlan] | None = None,
        reach: int = REACH,
    ) -> None:
        for decision in problem.decisions:
            for choice in decision.choices:
                if choice != Choice(rank=choice.rank):
                    raise PlanError(
                        f"layer {decision.name!r} may become {choice.to_json()}; allowed in a RankEnv: ranks alone, "
                        "take envs.plan_env.PlanEnv"
                    )
        super().__init__(problem, evaluate, reward=reward, reference=reference, reach=reach)


class ContinuousRankEnv(ContinuousPlanEnv):
    """`RankEnv` for agents with continuous actions; see `envs.plan_env.ContinuousPlanEnv`."""

    discrete: ClassVar[type[PlanEnv]] = RankEnv
