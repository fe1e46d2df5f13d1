"""Measure what racing saves and what it costs: `python benchmarks/racing.py`.

Searches for a bundled model, without retraining, in which every plan is judged whole. Their plans then race again in
the order in which they came, as `agents.search.racing` lets them, at several bounds (`FALSE_STOPS` is that of jobs),
each against the best so far; in jobs, against the best of those that are no larger. The table gives the share of the
words heard, the plans stopped, the false stops (plans that would have become the best), how many of the five best plans
were stopped, which are no finalists then, and what stopped plans were thought to have over what they have, median. One
search has few false stops to count, so the last column counts them where they are likeliest: between any two plans of a
search that differ by one word at most, with the parts in any order.

What stopped plans are thought to have is also what a strategy learns from them, which this leaves out: it matters to
those that learn from all plans, not to an evolution.
"""

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations, permutations
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from search import REWARD, Bench, add_subject

from agents.pipeline.stages.steps.choose_stage import N_FINALISTS
from agents.search.model_evaluator import ModelEvaluator, shrunk
from agents.search.racing import FALSE_STOPS, Errors, RacingJudge
from agents.search.search_plans import search_plans
from agents.search.workspace import StoredDecompositions, read_problem, read_proxy
from agents.strategies.strategies import STRATEGIES
from shrinkml.job import read_job
from shrinkml.plan.compression_plan import CompressionPlan

BOUNDS = (0.1, 0.03, FALSE_STOPS, 0.001)
N_TIES = 500
COLUMNS = (
    "strategy", "bound, %", "plans", "words heard, %", "stopped", "false stops", f"of the best {N_FINALISTS}",
    "thought over true WER", "false stops of near ties, %",
)  # fmt: skip

Row = dict[str, Any]
Judged = Mapping[CompressionPlan, Sequence[Errors]]  # plan, in the order of the search -> its errors, part by part


def searched(evaluator: ModelEvaluator, folder: Path, strategy: str, evaluations: int) -> Judged:
    """The plans that `strategy` judges, all of them whole."""
    judged: dict[CompressionPlan, list[Errors]] = {}
    words = evaluator.words

    def judge(plan: CompressionPlan) -> float:
        judged[plan] = [evaluator(plan, part) for part in range(len(words))]
        return total(judged[plan]) / total(words)

    problem = read_problem(folder)
    search_plans(
        strategy,
        problem,
        judge,
        reward=REWARD,
        evaluations=evaluations,
        seed=1,
    )
    return {plan: parts for plan, parts in judged.items() if problem.admits(plan)}


def total(parts: Sequence[Sequence[int]]) -> int:
    """The sum over all utterances."""
    return sum(map(sum, parts))


def raced(judged: Judged, words: Sequence[Sequence[int]], bound: float) -> Row:
    """A row: the plans that were `judged`, in a race of that bound."""
    racing = RacingJudge(lambda plan, part: judged[plan][part], words, false_stops=bound)
    first, *others = judged
    best, heard, false_stops, ratios = first, [1.0], 0, []
    finalists, stopped = sorted(judged, key=racing)[:N_FINALISTS], []
    for plan in others:
        found = racing.race(plan, best)
        heard.append(found.heard)
        if found.heard < 1.0:
            stopped.append(plan)
            ratios.append(found.wer / racing(plan))
            false_stops += racing(plan) < racing(best)
        elif found.wer < racing(best):
            best = plan
    return {
        "bound": bound,
        "plans": len(judged),
        "heard": fmean(heard),
        "stopped": len(stopped),
        "false_stops": false_stops,
        "finalists_stopped": sum(plan in stopped for plan in finalists),
        "thought": median(ratios) if ratios else None,
        "false_stops_of_ties": false_stops_of_ties(judged, words, bound),
    }


def false_stops_of_ties(judged: Judged, words: Sequence[Sequence[int]], bound: float) -> float:
    """The share of races between plans that differ by one word at most in which the one not worse was given up."""
    pairs = [sorted(pair, key=lambda plan: total(judged[plan])) for pair in combinations(judged, 2)]
    ties = [(a, b) for a, b in pairs if total(judged[b]) - total(judged[a]) <= 1]
    drawn = random.Random(0).sample(ties, min(N_TIES, len(ties)))
    stopped = []
    for order in permutations(range(len(words))):
        racing = RacingJudge(partial(_reordered, judged, order), [words[i] for i in order], false_stops=bound)
        stopped += [racing.race(not_worse, rival).heard < 1.0 for not_worse, rival in drawn]
    return fmean(stopped) if stopped else 0.0


def _reordered(judged: Judged, order: Sequence[int], plan: CompressionPlan, part: int) -> Errors:
    return judged[plan][order[part]]


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (COLUMNS, ["---"] * len(COLUMNS), *map(_cells, rows)))


def _cells(row: Row) -> list[str]:
    return [
        row["strategy"],
        f"{100 * row['bound']:g}",
        str(row["plans"]),
        f"{100 * row['heard']:.0f}",
        *(str(row[key]) for key in ("stopped", "false_stops", "finalists_stopped")),
        "-" if row["thought"] is None else f"{row['thought']:.2f}",
        f"{100 * row['false_stops_of_ties']:.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratio", type=float, default=8.0, help="times smaller")
    add_subject(parser)
    parser.add_argument("--evaluations", type=int, default=200, help="plans judged per search")
    parser.add_argument(
        "--strategies", nargs="+", default=["surrogate", "evolution", "random"], choices=sorted(STRATEGIES)
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench/racing"), help="folder of the results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(read_job(arguments.config), arguments.factorizer, arguments.out)
    folder = bench.workspace(arguments.ratio)
    shrink = partial(shrunk, bench.materials.model, decompositions=dict(StoredDecompositions(folder)))
    evaluator = ModelEvaluator(shrink, read_proxy(folder))
    found = {name: searched(evaluator, folder, name, arguments.evaluations) for name in arguments.strategies}
    raced_again = [
        {"strategy": name, **raced(judged, evaluator.words, bound)}
        for name, judged in found.items()
        for bound in BOUNDS
    ]
    print(table(raced_again))
    (bench.folder / f"{arguments.ratio:g}x.json").write_text(json.dumps(raced_again, indent=2))


if __name__ == "__main__":
    main()
