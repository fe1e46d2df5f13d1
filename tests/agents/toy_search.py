"""Searches of toys, with what a test does not care about filled in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from agents.search.racing import Errors
from agents.search.search_plans import search_plans
from agents.search.search_result import OnTrial, Policy, SearchResult
from agents.strategies.model_based import model_search
from envs.problem import PlanEvaluator
from envs.toys import Toy, telling
from shrinkml.plan.compression_plan import CompressionPlan

__all__ = ["Hearing", "few_generations", "search", "telling"]

PATIENCE = 400  # evaluations; most searches need a tenth of it
WORDS = [[10] * 32] * 4  # that toys are heard to say: in four parts, 32 utterances each


def search(
    name: str,
    toy: Toy,
    *,
    evaluations: int = PATIENCE,
    seed: int = 0,
    evaluate: PlanEvaluator | None = None,
    on_trial: OnTrial | None = None,
    should_stop: Callable[[], bool] | None = None,
    reward: str = "budget_wall",
    policy: Policy | None = None,
) -> SearchResult:
    """What the strategy `name` finds for `toy`."""
    return search_plans(
        name,
        toy.problem,
        evaluate or toy.evaluate,
        reward=reward,
        evaluations=evaluations,
        seed=seed,
        policy=policy,
        on_trial=on_trial or (lambda trial, n_done: None),
        should_stop=should_stop or (lambda: False),
    )


@contextmanager
def few_generations() -> Iterator[None]:
    """Plans evolve little in the models of model-based agents: for tests of what holds however good the plans are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_search, "GENERATIONS", 2)
        yield


class Hearing:
    """A toy judged on WORDS, each wrong with the probability that is the WER of the plan; a plan is always heard alike.

    Attributes:
        n_heard: utterances.
    """

    def __init__(self, toy: Toy) -> None:
        self._toy = toy
        self.n_heard = 0

    def __call__(self, plan: CompressionPlan, part: int) -> Errors:
        """The word errors in each utterance of `part`."""
        self.n_heard += len(WORDS[part])
        rng = np.random.default_rng([int(plan.digest[:8], 16), part])
        return tuple(rng.binomial(WORDS[part], self._toy.evaluate(plan)).tolist())
