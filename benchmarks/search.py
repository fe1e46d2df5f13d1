"""Search strategies at equal evaluations, without retraining: `python benchmarks/search.py`.

Every row is one search for a job's model with one strategy, ratio, number of evaluations and seed, plans judged on
the proxy set. Its plan is taken as jobs take it, of the best few there the best on all of dev, and then measured on
test. The time outside evaluations is the strategy's own. A row is written as soon as it is there: run it again to add
what is missing. All rows share one cache of evaluations, which saves time and changes nothing else. A second table sets
the default strategy against each of the others, search by search, and a third does so at equal time: the default judges
fewer plans then, by what its own time and the look at every layer beforehand would have paid for; the others are
charged nothing beside their evaluations, though cut menus come of the same look. Every plan is judged whole: nothing
races here. progress.html draws the best WER so far against the plans judged. Rewards (`--rewards`) matter to agents
that learn a policy alone. `--menus whole` leaves the ranks on the menus that are measured to ruin the model alone, or
to save nothing (`agents.search.make_problem.with_losses`): those rows have a folder of their own.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from itertools import accumulate, product
from pathlib import Path

import torch
from plotly import graph_objects
from rows import Row, kept

from agents.pipeline.materials import Materials
from agents.pipeline.stages.steps.calibrate_stage import make_workspace
from agents.pipeline.stages.steps.choose_stage import choose_from
from agents.search.model_evaluator import shrunk
from agents.search.opened_workspace import open_workspace
from agents.search.search_plans import search_plans
from agents.search.search_result import SearchResult
from agents.search.workspace import StoredDecompositions
from agents.strategies.strategies import STRATEGIES
from envs.problem import CompressionProblem, PlanEvaluator
from envs.rewards import REWARDS
from shrinkml.job import JobSpec, SearchSpec, read_job
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.plan.compression_plan import CompressionPlan

POSED = "posed.json"  # beside a workspace's files: what posing the problem found
CONFIG = Path(__file__).parent.parent / "configs" / "demo.yaml"
OURS, REWARD, FACTORIZER = SearchSpec().strategy, SearchSpec().reward, JobSpec.model_fields["factorizer"].default
COMPARED = (OURS, "dyna", "ppo", "evolution", "knapsack", "divergence", "random", "greedy", "uniform")
COLUMNS = (
    "ratio", "evaluations", "strategy", "seeds", "dev WER %, median (quartiles)", "test WER %, median (quartiles)",
    "hypervolume %, median", "seconds of its own",
)  # fmt: skip
AGAINST = (
    "evaluations", "against", "searches", "its WER on dev over the other's, median", "on test", "lower on dev in",
    "sign test, p",
)  # fmt: skip
TIMED = (
    "a plan takes", "evaluations of the other", "of the default, median", "against", "searches",
    "its WER on the proxy set over the other's, median", "not higher in",
)  # fmt: skip
PLAN_SECONDS = (0.25, 1.0, 4.0)


class Bench:
    """The part that all rows have in common.

    Args:
        spec: of the model and the data.
        factorizer: name in FACTORIZERS.
        out: folder of the rows of all models and factorizers.
        menus: "cut" as in jobs, or "whole".
    """

    def __init__(self, spec: JobSpec, factorizer: str, out: Path, menus: str = "cut") -> None:
        self.spec = spec
        self.folder = out / Path(spec.model).name / (factorizer if menus == "whole" else f"{factorizer}-{menus}")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._factorizer = factorizer
        self._whole = menus == "whole"
        self.materials = Materials(spec.model, spec.data, seed=0, should_stop=lambda: False)

    def row(self, ratio: float, evaluations: int, strategy: str, seed: int, reward: str = REWARD) -> Row:
        """The row, made now unless it is there."""
        what = strategy if reward == REWARD else f"{strategy}-{reward}"
        done = self.folder / f"{ratio:g}x-{evaluations}-{what}-{seed}.json"
        return kept(done, lambda: self._searched(ratio, evaluations, strategy, seed, reward))

    def measured(self, plan: CompressionPlan, workspace: Path) -> Row:
        """WER on all of dev and on test under `plan`, with the factors of `workspace` and no retraining."""
        model = shrunk(self.materials.model, plan, StoredDecompositions(workspace))
        return {
            "dev_wer": word_error_rate(model, self.materials.dev),
            "test_wer": word_error_rate(model, self.materials.test),
            "plan": plan.to_json(),
        }

    def _searched(self, ratio: float, evaluations: int, strategy: str, seed: int, reward: str) -> Row:
        folder = self.workspace(ratio)
        workspace = open_workspace(folder)
        problem = uncut(workspace.problem) if self._whole else workspace.problem
        clock = Clock(workspace.evaluate, time.monotonic)
        started = time.monotonic()
        found = search_plans(
            strategy,
            problem,
            clock,
            reward=reward,
            evaluations=evaluations,
            seed=seed,
        )
        own_s = time.monotonic() - started - clock.seconds
        chosen = choose_from(self.materials, [found], start=self.materials.original, workspace=folder)
        return {
            "ratio": ratio,
            "evaluations": evaluations,
            "strategy": strategy,
            "reward": reward,
            "seed": seed,
            "judged": len(found.trials),
            "proxy_wer": found.best.wer,
            "own_seconds": own_s,
            "looked_seconds": json.loads((folder / POSED).read_text())["looked_s"],
            "proxy_wers": proxy_wers(found, problem),
            "sizes": [1 / problem.prices.ratio(trial.plan) for trial in found.trials],
            "finalists": [asdict(row) for row in chosen.finalists],
            **self.measured(chosen.plan, folder),
        }

    def workspace(self, ratio: float) -> Path:
        """The folder of what searches for that ratio share, made now unless it is there."""
        folder = self.folder / f"workspace-{ratio:g}x"
        if not folder.exists():
            partial = folder.with_name(folder.name + ".partial")
            partial.mkdir(parents=True, exist_ok=True)
            posed = make_workspace(
                self.materials,
                partial,
                start=self.materials.original,
                ratio=ratio,
                factorizer=self._factorizer,
                cache=self.folder / "evaluations.sqlite",
            )
            (partial / POSED).write_text(json.dumps(asdict(posed)))
            partial.replace(folder)
        return folder


def uncut(problem: CompressionProblem) -> CompressionProblem:
    """`problem` with all the options that were left out."""
    return replace(problem, decisions=tuple(decision.whole for decision in problem.decisions))


class Clock:
    """An evaluator, timed by `now`. It cannot race: every plan is judged whole."""

    def __init__(self, evaluate: PlanEvaluator, now: Callable[[], float]) -> None:
        self._evaluate = evaluate
        self._now = now
        self.seconds = 0.0

    def __call__(self, plan: CompressionPlan) -> float:
        """The WER of `plan`."""
        started = self._now()
        wer = self._evaluate(plan)
        self.seconds += self._now() - started
        return wer


def table(rows: Sequence[Row]) -> str:
    """Markdown; within a ratio and a number of evaluations, the lowest median on dev first."""
    groups: dict[tuple[float, int, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["ratio"], row["evaluations"], name_of(row)), []).append(row)
    lines = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join('---' for _ in COLUMNS)} |"]
    for (ratio, evaluations, name), same in sorted(
        groups.items(), key=lambda group: (*group[0][:2], _median(group[1], "dev_wer"))
    ):
        cells = (
            f"{ratio:g}x",
            str(evaluations),
            name,
            str(len(same)),
            _quartiles(same, "dev_wer"),
            _quartiles(same, "test_wer"),
            _hypervolumes(same),
            f"{_median(same, 'own_seconds'):.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def name_of(row: Row) -> str:
    """The strategy, and its reward where that is not what jobs take."""
    reward = row.get("reward", REWARD)
    return str(row["strategy"]) if reward == REWARD else f"{row['strategy']} ({reward})"


def hypervolume(plans: Iterable[tuple[float, float]]) -> float:
    """The area that `plans`, each its size and its WER, dominate up to the original's size and a WER of 1; in [0, 1].

    Sizes are shares of the original's. The reference point is our own choice. The budget would be the tighter one, but
    searches use it up: what they then dominated would be the few weights that they leave, whatever their WER.
    """
    area, lowest = 0.0, 1.0
    for size, wer in sorted(plans):
        area += max(0.0, 1.0 - size) * max(0.0, lowest - wer)
        lowest = min(lowest, wer)
    return area


def against(rows: Sequence[Row]) -> str:
    """Markdown: the default strategy against each other one, over the searches of the same ratio and seed."""
    lines = [f"| {' | '.join(AGAINST)} |", f"| {' | '.join('---' for _ in AGAINST)} |"]
    for (evaluations, strategy), pairs in _paired(rows).items():
        ratios = [
            statistics.median(_quotient(ours[key], other[key]) for ours, other in pairs)
            for key in ("dev_wer", "test_wer")
        ]
        lower = sum(ours["dev_wer"] < other["dev_wer"] for ours, other in pairs)
        higher = sum(ours["dev_wer"] > other["dev_wer"] for ours, other in pairs)
        cells = (
            str(evaluations),
            strategy,
            str(len(pairs)),
            *(f"{ratio:.2f}" for ratio in ratios),
            str(lower),
            f"{sign_test(lower, higher):.3f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def at_equal_time(rows: Sequence[Row]) -> str:
    """Markdown: the default strategy against each other one, were a plan judged in so many seconds."""
    paired = _paired([row for row in rows if "looked_seconds" in row])
    lines = [f"| {' | '.join(TIMED)} |", f"| {' | '.join('---' for _ in TIMED)} |"]
    for plan_s, ((evaluations, strategy), pairs) in product(PLAN_SECONDS, paired.items()):
        counts = [evaluations - math.ceil((ours["own_seconds"] + ours["looked_seconds"]) / plan_s) for ours, _ in pairs]
        if min(counts) < 1:
            continue
        bests = [
            (best_so_far(ours["proxy_wers"], evaluations)[n - 1], other["proxy_wer"])
            for (ours, other), n in zip(pairs, counts, strict=True)
        ]
        cells = (
            f"{plan_s:g} s",
            str(evaluations),
            f"{statistics.median(counts):g}",
            strategy,
            str(len(pairs)),
            f"{statistics.median(_quotient(ours, other) for ours, other in bests):.2f}",
            str(sum(ours <= other for ours, other in bests)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _paired(rows: Sequence[Row]) -> dict[tuple[int, str], list[tuple[Row, Row]]]:
    """Evaluations and another strategy -> rows of the default and of that one, of the same ratio and seed."""
    ours = {(row["evaluations"], row["ratio"], row["seed"]): row for row in rows if name_of(row) == OURS}
    paired: dict[tuple[int, str], list[tuple[Row, Row]]] = {}
    for row in sorted(rows, key=lambda row: (row["evaluations"], name_of(row))):
        which = row["evaluations"], row["ratio"], row["seed"]
        if name_of(row) != OURS and which in ours:
            paired.setdefault((row["evaluations"], name_of(row)), []).append((ours[which], row))
    return paired


def sign_test(lower: int, higher: int) -> float:
    """The probability of so uneven a split, or a more uneven one, if either side were as likely; ties are left out."""
    n, fewer = lower + higher, min(lower, higher)
    return min(1.0, 2.0 * sum(math.comb(n, k) for k in range(fewer + 1)) * 0.5**n)


def _quotient(ours: float, other: float) -> float:
    if other:
        return ours / other
    return math.inf if ours else 1.0


def _hypervolumes(rows: Sequence[Row]) -> str:
    """The median over those of `rows` that tell the sizes of their plans; older ones do not."""
    fronts = [zip(row["sizes"], row["proxy_wers"], strict=True) for row in rows if "sizes" in row]
    areas = [hypervolume((size, wer) for size, wer in front if wer is not None) for front in fronts]
    return f"{100 * statistics.median(areas):.2f}" if areas else "-"


def _median(rows: Sequence[Row], key: str) -> float:
    return float(statistics.median(row[key] for row in rows))


def _quartiles(rows: Sequence[Row], key: str) -> str:
    values = [100 * row[key] for row in rows]
    if len(values) == 1:
        return f"{values[0]:.2f}"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def progress(rows: Sequence[Row]) -> str:
    """A page with a figure for each ratio: of each strategy the median over seeds of the best proxy WER so far.

    Of the rows that tell it; the oldest do not.
    """
    rows = [row for row in rows if row.get("proxy_wers")]
    parts: list[str] = []
    for ratio in sorted({row["ratio"] for row in rows}):
        most = max(row["evaluations"] for row in rows if row["ratio"] == ratio)
        figure = graph_objects.Figure()
        for name in sorted({name_of(row) for row in rows}):
            same = [r for r in rows if (r["ratio"], r["evaluations"], name_of(r)) == (ratio, most, name)]
            if same:
                curves = [best_so_far(row["proxy_wers"], most) for row in same]
                median = [100 * statistics.median(at) for at in zip(*curves, strict=True)]
                figure.add_scatter(x=list(range(1, most + 1)), y=median, name=name, line_shape="hv")
        figure.update_layout(
            title=f"{ratio:g}x, medians over seeds", xaxis_title="plans judged", yaxis_title="best WER so far, %"
        )
        figure.update_yaxes(type="log")
        parts.append(figure.to_html(full_html=False, include_plotlyjs=not parts))
    return "<!doctype html><meta charset='utf-8'><title>Searches at equal evaluations</title>" + "".join(parts)


def proxy_wers(found: SearchResult, problem: CompressionProblem) -> list[float | None]:
    """The WER of each plan judged, in order; None of those over the budget, which only measured a layer."""
    return [trial.wer if problem.admits(trial.plan) else None for trial in found.trials]


def best_so_far(wers: Sequence[float | None], most: int) -> list[float]:
    """[most] the lowest of `proxy_wers` after each plan; NaN before the first within the budget."""
    best = list(accumulate((math.nan if wer is None else wer for wer in wers), _lower))
    return [*best, *[best[-1]] * (most - len(best))]


def _lower(best: float, wer: float) -> float:
    return best if math.isnan(wer) or best <= wer else wer


def add_subject(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what is searched."""
    parser.add_argument("--config", default=CONFIG, type=Path, help="a job, for its model and data")
    parser.add_argument("--factorizer", default=FACTORIZER, help="svd, whitened or pca (jobs' own)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratios", type=float, nargs="+", default=[5.0, 8.0], help="times smaller")
    parser.add_argument("--evaluations", type=int, nargs="+", default=[50, 200], help="plans judged per search")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="seeds")
    parser.add_argument(
        "--strategies", nargs="+", default=list(COMPARED), choices=sorted(STRATEGIES), help="strategies"
    )
    parser.add_argument("--rewards", nargs="+", default=[REWARD], choices=sorted(REWARDS), help="rewards")
    add_subject(parser)
    parser.add_argument("--menus", choices=["cut", "whole"], default="cut", help="cut as in jobs, or whole")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/search"), help="folder of the rows")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(read_job(arguments.config), arguments.factorizer, arguments.out, arguments.menus)
    for seed in arguments.seeds:
        for ratio in arguments.ratios:
            for evaluations in arguments.evaluations:
                for strategy, reward in product(arguments.strategies, arguments.rewards):
                    row = bench.row(ratio, evaluations, strategy, seed, reward)
                    print(f"{ratio:g}x {evaluations} {name_of(row)} {seed}: {row['dev_wer']:.2%} on dev", flush=True)
    rows = [json.loads(path.read_text()) for path in sorted(bench.folder.glob("*.json"))]
    print(table(rows), against(rows), at_equal_time(rows), sep="\n\n")
    (bench.folder / "progress.html").write_text(progress(rows))


if __name__ == "__main__":
    main()
