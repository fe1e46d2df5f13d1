"""(1+1) evolution: a child replaces its parent when it is at least as good.

The simplest member of the family that EvoPress (Sieberling et al. 2024, arXiv:2410.14649) uses for dynamic compression.
"""

import numpy as np

from agents.strategies.baselines import judge_baselines
from agents.strategies.recorder import Recorder
from agents.strategy import OnTrial, SearchResult
from envs.budget import Budget, Entries
from envs.energy import retained_energies
from envs.problem import PlanEvaluator, RankProblem
from envs.projection import fit_to_budget
from shrinkml.events import ShouldStop

MUTATED = 0.25  # of the layers, on average
MAX_STEP = 2  # menu entries that a mutated layer moves, at most


def evolution(
    problem: RankProblem,
    evaluate: PlanEvaluator,
    *,
    reward: str,
    evaluations: int,
    seed: int,
    on_trial: OnTrial,
    should_stop: ShouldStop,
) -> SearchResult:
    """Mutates the best plan so far, first the greedy one; see `agents.strategy.Strategy`."""
    budget = Budget.of(problem)
    energies = retained_energies(problem, budget)
    rng = np.random.default_rng(seed)
    recorder = Recorder(problem, evaluate, evaluations=evaluations, on_trial=on_trial, should_stop=should_stop)
    judge_baselines(recorder, problem)
    parent, parent_wer = recorder.best.plan, recorder.best.wer
    while not recorder.finished:
        entries, mutated = _mutate(budget.entries(parent), budget, rng)
        child = budget.plan(fit_to_budget(entries, budget, energies, pinned=mutated))
        child_wer = recorder(child)
        if child_wer <= parent_wer:
            parent, parent_wer = child, child_wer
    return recorder.result("evolution", seed)


def _mutate(entries: Entries, budget: Budget, rng: np.random.Generator) -> tuple[Entries, set[int]]:
    """Entries moved at random within their menus, and which layers those are; always at least one."""
    mutated = set(np.flatnonzero(rng.random(len(entries)) < MUTATED).tolist()) or {int(rng.integers(len(entries)))}
    steps = rng.integers(1, MAX_STEP + 1, len(entries)) * rng.choice([-1, 1], len(entries))
    lasts = [len(prices) - 1 for prices in budget.weights]
    moved = (
        min(max(entry + int(step), 0), last) if layer in mutated else entry
        for layer, (entry, step, last) in enumerate(zip(entries, steps, lasts, strict=True))
    )
    return tuple(moved), mutated
