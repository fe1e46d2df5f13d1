"""The first fidelity of a search: plans judged by what their scores lose, before any is judged by its transcripts.

A few utterances whose transcripts a decoder is fed cost a small part of transcribing a proxy set, and tell plans apart
that differ by less than a word in a hundred. So the default strategy searches by those first, and what it finds is
judged first by word errors.

References:
    Kandasamy et al. 2017, Multi-fidelity Bayesian optimisation with continuous approximations, arXiv:1703.06240
    (cheap, coarse evaluations before dear ones). How the two are joined is our own.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from threadpoolctl import threadpool_limits

from agents.search.look.effort import SHARE
from agents.search.recorder import Recorder
from agents.search.search import Search
from agents.strategies.model_based.surrogate import surrogate
from envs.problem import CompressionProblem
from envs.rewards import REWARDS
from shrinkml.plan.compression_plan import CompressionPlan

N_HEARD = 16  # utterances that a plan is judged on, at most
MOST_PLANS = 64  # that are judged; what more would find, is mostly of these utterances alone
LEAST_PLANS = 8  # fewer are no search


def plans_to_judge(searched: int | None) -> int:
    """The number of plans that cost no more than SHARE of a search by transcripts; 0 where they would be too few.

    Args:
        searched: utterances that the searches hear, all together; None: any effort may be made.
    """
    n_plans = MOST_PLANS if searched is None else min(MOST_PLANS, int(SHARE * searched) // N_HEARD)
    return n_plans if n_plans >= LEAST_PLANS else 0


def plan_of_least_loss(
    problem: CompressionProblem, loss: Callable[[CompressionPlan], float], *, n_plans: int
) -> CompressionPlan:
    """The plan within the budget that loses least, of those that the default strategy proposes.

    Args:
        problem: told the expected loss of its options.
        loss: of the whole model under a plan, nats per token.
        n_plans: judged, at most.

    Raises:
        StoppedError: `loss` was stopped.
    """
    # A word loss is -log of the share of words that survive: with these, it is the loss itself.
    by_token = replace(problem, baseline_wer=0.0, tokens_per_utterance=1.0)
    recorder = Recorder(
        by_token,
        lambda plan: 1.0 - math.exp(-loss(plan)),
        evaluations=n_plans,
        on_trial=lambda trial, n_done: None,
        should_stop=lambda: False,
    )
    with threadpool_limits(1, user_api="blas"):  # as in any search
        surrogate(Search.of(by_token, recorder, reward=REWARDS["budget_wall"]))
    return recorder.best.plan
