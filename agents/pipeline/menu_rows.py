"""What a stage's search could choose for each layer, and what it knew of layers compressed alone: for the report."""

from collections.abc import Sequence
from typing import Any

from agents.search.search_result import SearchResult
from envs.budget import Budget
from envs.expectation import expected_harms
from envs.problem import RankProblem
from shrinkml.plan.compression_plan import CompressionPlan


def menu_rows(problem: RankProblem, plan: CompressionPlan, results: Sequence[SearchResult]) -> list[dict[str, Any]]:
    """A `shrinkml.report.record.MenuRow` per layer, in forward order.

    Args:
        problem: of the stage.
        plan: that was taken.
        results: of all its searches, whatever their strategy.
    """
    alone, budget = wers_alone(problem, results), Budget.of(problem)
    expected = expected_harms(problem, budget) if problem.divergences else None
    return [
        {
            "name": layer.name,
            "entries": [
                {
                    "rank": rank,
                    "weights_kept": layer.weights_at(rank) / layer.weights_at(menu[-1]),
                    "divergence_alone": expected[i][entry] if expected else None,
                    "wer_alone": problem.baseline_wer if rank == menu[-1] else alone.get((layer.name, rank)),
                    "chosen": rank == plan.choice(layer.name).rank,
                }
                for entry, rank in enumerate(menu)
            ],
            "cut": list(problem.cut.get(layer.name, ())),
        }
        for i, (layer, menu) in enumerate(zip(problem.cost.layers, budget.menus, strict=True))
    ]


def wers_alone(problem: RankProblem, results: Sequence[SearchResult]) -> dict[tuple[str, int | None], float]:
    """(layer, rank) -> WER where a plan was judged that leaves all other layers as the stage found them."""
    found = {}
    for trial in (trial for result in results for trial in result.trials):
        changed = [name for name, menu in problem.menus.items() if trial.plan.choice(name).rank != menu[-1]]
        if len(changed) == 1 and not trial.stopped:
            found[changed[0], trial.plan.choice(changed[0]).rank] = trial.wer
    return found
