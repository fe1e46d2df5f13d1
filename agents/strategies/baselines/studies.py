"""A study of Optuna whose parameters are the entries of decisions: what its samplers share. Loads Optuna."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler

from agents.search.search import Search
from agents.strategies.baselines.greedy import greedy_plan
from agents.strategies.baselines.uniform import uniform_plan
from envs.budget import Budget, Entries
from envs.decision import PerOption
from shrinkml.plan.compression_plan import CompressionPlan

PROPOSALS_PER_EVALUATION = 2  # a sampler that has settled repeats itself, and each proposal takes longer than the last


def sample_plans(
    search: Search,
    sampler: BaseSampler,
    *,
    within: Callable[[Entries, Budget, PerOption], Entries],
    objectives: Callable[[CompressionPlan, float], Sequence[float]],
) -> None:
    """Judge the greedy and the uniform plan, then what `sampler` proposes.

    Ends when the recorder has finished, or after PROPOSALS_PER_EVALUATION for each evaluation that it had left.

    Args:
        search: judges the plans.
        sampler: proposes an entry per layer.
        within: brings proposed entries into the budget; the sampler is told the value of what they became.
        objectives: from a plan and its WER, to be minimised.
    """
    budget, recorder = search.budget, search.recorder
    menus: dict[str, BaseDistribution] = {
        name: IntDistribution(0, len(prices) - 1) for name, prices in zip(budget.names, budget.weights, strict=True)
    }
    with _quiet():
        n_objectives = len(objectives(CompressionPlan(), 0.0))
        study = optuna.create_study(sampler=sampler, directions=["minimize"] * n_objectives)
        for plan in (greedy_plan(search.problem), uniform_plan(search.problem)):
            study.enqueue_trial(dict(zip(budget.names, budget.entries(plan), strict=True)))
        for _ in range(PROPOSALS_PER_EVALUATION * recorder.evaluations_left):
            if recorder.finished:
                break
            trial = study.ask(menus)
            proposed = tuple(trial.params[name] for name in budget.names)
            plan = budget.plan(within(proposed, budget, search.energies))
            study.tell(trial, list(objectives(plan, recorder(plan))))


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna's log at errors only; as before afterwards."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
