"""What a stage's search could choose for each layer, and what it learnt of layers compressed alone: for the report."""

from collections.abc import Sequence
from typing import Any

from agents.strategy import SearchResult
from envs.problem import RankProblem
from shrinkml.compression.plan import RankPlan


def menu_rows(problem: RankProblem, plan: RankPlan, results: Sequence[SearchResult]) -> list[dict[str, Any]]:
    """A `shrinkml.report.record.MenuRow` per layer, in forward order.

    Args:
        problem: of the stage.
        plan: that was taken.
        results: of all its searches, whatever their strategy.
    """
    alone = wers_alone(problem, results)
    return [
        {
            "name": layer.name,
            "entries": [
                {
                    "rank": rank,
                    "weights_kept": layer.weights_at(rank) / layer.weights_at(menu[-1]),
                    "wer_alone": problem.baseline_wer if rank == menu[-1] else alone.get((layer.name, rank)),
                    "chosen": rank == plan.rank(layer.name),
                }
                for rank in menu
            ],
        }
        for layer, menu in ((layer, problem.menus[layer.name]) for layer in problem.cost.layers)
    ]


def wers_alone(problem: RankProblem, results: Sequence[SearchResult]) -> dict[tuple[str, int | None], float]:
    """(layer, rank) -> WER where a plan was judged that leaves all other layers as the stage found them."""
    found = {}
    for trial in (trial for result in results for trial in result.trials):
        changed = [name for name, menu in problem.menus.items() if trial.plan.rank(name) != menu[-1]]
        if len(changed) == 1:
            found[changed[0], trial.plan.rank(changed[0])] = trial.wer
    return found
