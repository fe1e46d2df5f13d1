"""Measure whether a policy that one search learned helps another: `python benchmarks/transfer.py`.

A task is a job's model at a ratio, as in small:8 (configs/small.yaml, 8x). For each seed `dyna` searches every task
from nothing; the policy that it learned there then starts the search of every other task. The searches of the same task
and seed stand beside each other, each with the WER of its best plan so far on the proxy set, and on dev that of the
best of its finalists, as jobs choose it: the default's, that of `dyna` from nothing, and that from the policy. No plan
is fine-tuned or raced, and all searches of a model share one cache of evaluations. A row is written as soon as it is
there: run it again to add what is missing.
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rows import Row, kept
from search import FACTORIZER, OURS, REWARD, Bench, Clock, best_so_far, proxy_wers, sign_test

from agents.pipeline.stages.steps.choose_stage import choose_from
from agents.search.opened_workspace import open_workspace
from agents.search.search_plans import search_plans
from agents.search.search_result import Policy
from shrinkml.job import read_job

CONFIGS = Path(__file__).parent.parent / "configs"
TASKS = ("small:5", "small:8", "demo:8", "ctc:8")
AFTER = (10, 25, 50)  # plans
COLUMNS = (
    "learned on", "searched", "seeds",
    *(f"WER % after {n} plans: {OURS}, dyna from nothing, from the policy" for n in AFTER), "on dev",
    "from the policy lower there than from nothing in", "sign test, p",
)  # fmt: skip


class Task(NamedTuple):
    """The task of a search: the name of a file in configs/, and a ratio."""

    config: str
    ratio: float

    @classmethod
    def parse(cls, text: str) -> "Task":
        """The task that `str` wrote."""
        config, _, ratio = text.partition(":")
        if not (CONFIGS / f"{config}.yaml").is_file():
            raise argparse.ArgumentTypeError(f"{text}: there is no configs/{config}.yaml; like small:8")
        return cls(config, float(ratio))

    def __str__(self) -> str:
        return f"{self.config}:{self.ratio:g}"


class Transfers:
    """All rows.

    Args:
        benches: of the configs.
        out: folder of the rows.
    """

    def __init__(self, benches: Mapping[str, Bench], out: Path) -> None:
        self._benches = benches
        self._out = out
        out.mkdir(parents=True, exist_ok=True)

    def rows(self, source: Task, task: Task, seed: int) -> tuple[Row, Row, Row]:
        """The searches of `task`: the default's, that of dyna from nothing, and that with the policy of `source`."""
        return self._row(task, seed, OURS), self._row(task, seed, "dyna"), self._row(task, seed, "dyna", source)

    def _row(self, task: Task, seed: int, strategy: str, source: Task | None = None) -> Row:
        """Made now unless it is there."""
        name = f"{task}-{strategy}-from-{source or 'nothing'}-{seed}.json"
        return kept(self._out / name, lambda: self._searched(task, seed, strategy, source))

    def _searched(self, task: Task, seed: int, strategy: str, source: Task | None) -> Row:
        policy: Policy | None = None if source is None else self._row(source, seed, strategy)["policy"]
        bench = self._benches[task.config]
        folder = bench.workspace(task.ratio)
        workspace = open_workspace(folder)
        found = search_plans(
            strategy,
            workspace.problem,
            Clock(workspace.evaluate, time.monotonic),
            reward=REWARD,
            evaluations=max(AFTER),
            seed=seed,
            policy=policy,
        )
        chosen = choose_from(bench.materials, [found], start=bench.materials.original, workspace=folder)
        return {
            "proxy_wers": proxy_wers(found, workspace.problem),
            "dev_wer": chosen.finalists[0].dev_wer,
            "policy": found.policy,
        }


def table(searches: Mapping[tuple[Task, Task], Sequence[tuple[Row, Row, Row]]]) -> str:
    """Markdown: a line for each source and task, of the rows of every seed."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join('---' for _ in COLUMNS)} |"]
    for (source, task), rows in searches.items():
        lower = sum(after["dev_wer"] < before["dev_wer"] for _, before, after in rows)
        higher = sum(after["dev_wer"] > before["dev_wer"] for _, before, after in rows)
        cells = (
            str(source),
            str(task),
            str(len(rows)),
            *(_medians([[_best(row, n) for row in same] for same in rows]) for n in AFTER),
            _medians([[row["dev_wer"] for row in same] for same in rows]),
            f"{lower} of {len(rows)}",
            f"{sign_test(lower, higher):.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _best(row: Row, n: int) -> float:
    return best_so_far(row["proxy_wers"], n)[n - 1]


def _medians(rows: Sequence[Sequence[float]]) -> str:
    return ", ".join(f"{100 * statistics.median(values):.2f}" for values in zip(*rows, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tasks", type=Task.parse, nargs="+", default=[*map(Task.parse, TASKS)], help="two or more, like small:8"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="seeds")
    parser.add_argument("--factorizer", default=FACTORIZER, help="svd, whitened or pca")
    parser.add_argument(
        "--searches", type=Path, default=Path("runs/bench/search"), help="folder of bench-search's rows"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench/transfer"), help="folder of the rows")
    arguments: Any = parser.parse_args()
    if len(arguments.tasks) < 2:
        parser.error("--tasks: two at least, one to learn on and one to search")
    torch.set_num_threads(1)
    configs = {task.config for task in arguments.tasks}
    benches = {
        name: Bench(read_job(CONFIGS / f"{name}.yaml"), arguments.factorizer, arguments.searches) for name in configs
    }
    transfers = Transfers(benches, arguments.out / arguments.factorizer)
    searches: dict[tuple[Task, Task], list[tuple[Row, Row, Row]]] = {}
    for seed in arguments.seeds:
        for source, task in permutations(arguments.tasks, 2):
            rows = transfers.rows(source, task, seed)
            searches.setdefault((source, task), []).append(rows)
            found = ", ".join(f"{row['dev_wer']:.2%}" for row in rows)
            print(f"{source} to {task}, {seed}: {found} on dev", flush=True)
    print(table(searches))


if __name__ == "__main__":
    main()
