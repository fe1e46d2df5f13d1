"""Random search, blind to the spectra: what any agent must beat."""

import numpy as np

from agents.strategies.recorder import Recorder
from agents.strategy import OnTrial, SearchResult
from envs.budget import Budget, Entries
from envs.problem import PlanEvaluator, RankProblem
from shrinkml.events import ShouldStop


def random_entries(budget: Budget, rng: np.random.Generator) -> Entries:
    """Random entries that use the budget: no layer could be raised alone.

    The layers choose in random order, each evenly among what the others leave affordable; then, again in random order,
    each takes what is left.
    """
    entries = list(budget.cheapest)
    settled: set[int] = set()
    for layer in rng.permutation(len(entries)).tolist():
        entries[layer] = int(rng.integers(budget.n_affordable(layer, entries, settled)))
        settled.add(layer)
    for layer in rng.permutation(len(entries)).tolist():
        entries[layer] = budget.n_affordable(layer, entries, settled) - 1
    return tuple(entries)


def random(
    problem: RankProblem,
    evaluate: PlanEvaluator,
    *,
    reward: str,
    evaluations: int,
    seed: int,
    on_trial: OnTrial,
    should_stop: ShouldStop,
) -> SearchResult:
    """Judges random plans; see `agents.strategy.Strategy`."""
    budget = Budget.of(problem)
    rng = np.random.default_rng(seed)
    recorder = Recorder(problem, evaluate, evaluations=evaluations, on_trial=on_trial, should_stop=should_stop)
    while not recorder.finished:
        recorder(budget.plan(random_entries(budget, rng)))
    return recorder.result("random", seed)
