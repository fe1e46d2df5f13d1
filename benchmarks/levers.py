"""Every lever in one plan against single levers and the usual recipe, at equal bytes: `python benchmarks/levers.py`.

A row is one search for one model, size and seed, without retraining. The size is in bytes of the checkpoint, so many
times fewer than all weights in float32 take; what no plan rounds is stored as the original stores it. The plan is taken
as jobs take it: of the best few on the proxy set, the best on all of dev. Test is only measured; the commands task's
own is made larger: new sentences, and the voices of test.

    rank                ranks alone
    bits                bits of each matrix alone
    rank, then 8 bits   ranks, searched so that the model has that size once every matrix is rounded to 8 bits: what is
                        done today
    joint               rank, identity blocks, bits and zeros, searched together
    joint without zeros the same but for zeros
    rank and dropping   ranks, and modules that are left out
    joint and dropping  the joint search, which may leave modules out too

A size that a recipe cannot reach is a row, too. Rows are written as soon as they are there: run it again to add what is
missing. levers.html draws the medians.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch
from liteasr import with_larger_test
from plotly import graph_objects
from search import CONFIG, OURS, REWARD, Row, kept

from agents.pipeline.materials import Materials
from agents.pipeline.price_lists import price_list
from agents.pipeline.stages.steps.calibrate_stage import make_workspace
from agents.pipeline.stages.steps.choose_stage import choose_from
from agents.search.model_evaluator import shrunk
from agents.search.opened_workspace import open_workspace
from agents.search.search_plans import search_plans
from agents.search.workspace import StoredDecompositions
from shrinkml.compression.sites import model_cost
from shrinkml.errors import PlanError
from shrinkml.job import JobSpec, read_job
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.gains import DROP, UNASKED
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.prices import PriceList
from shrinkml.plan.site_prices import SitePrices
from shrinkml.storage import checkpoint

FLOAT32_BYTES = 4
ROUNDED = 8  # bits of the usual recipe
FACTORIZER = JobSpec.model_fields["factorizer"].default
MODELS = ("reference/las", "reference/ctc")
COLUMNS = (
    "model", "times fewer bytes", "recipe", "seeds", "dev WER %, median (each seed)", "test WER %", "bytes of the file",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way to a plan.

    Attributes:
        levers: that the search pulls.
        prices: of its plans, made of those in bytes.
        finish: makes of the plan that it finds the one that is taken, for these layers.
    """

    levers: Collection[str]
    prices: Callable[[PriceList, Sequence[LayerSpec]], PriceList] = lambda prices, layers: prices
    finish: Callable[[CompressionPlan, Sequence[LayerSpec]], CompressionPlan] = lambda plan, layers: plan


def as_rounded(prices: PriceList, layers: Sequence[LayerSpec]) -> PriceList:
    """The prices of plans of ranks whose matrices will all be rounded."""

    def of(layer: LayerSpec) -> SitePrices:
        ranks = 1, layer.max_rank
        beside = layer.own_biases.bytes
        at_ranks = tuple(layer.cost_at(Choice(rank=rank, bits=ROUNDED)).bytes + beside for rank in ranks)
        return SitePrices(ranks, at_ranks, layer.cost_at(Choice(bits=ROUNDED)).bytes + beside)

    return replace(prices, sites={layer.name: of(layer) for layer in layers})


def rounded(plan: CompressionPlan, layers: Sequence[LayerSpec]) -> CompressionPlan:
    """`plan` with every matrix rounded."""
    return CompressionPlan({layer.name: replace(plan.choice(layer.name), bits=ROUNDED) for layer in layers})


RECIPES = {
    "rank": Recipe(("rank",)),
    "bits": Recipe(("bits",)),
    "rank, then 8 bits": Recipe(("rank",), as_rounded, rounded),
    "joint": Recipe(UNASKED["bytes"]),
    "joint without zeros": Recipe(tuple(name for name in UNASKED["bytes"] if name != "sparsity")),
    "rank and dropping": Recipe(("rank", DROP)),
    "joint and dropping": Recipe((*UNASKED["bytes"], DROP)),
}


class Bench:
    """All that the rows of a model have in common.

    Args:
        spec: of the model and the data.
        out: folder of the rows of all models.
        searched: utterances that the looks are to be worth; None: any effort may be made.
    """

    def __init__(self, spec: JobSpec, out: Path, searched: int | None = None) -> None:
        self._materials = Materials(spec.model, spec.data, seed=0, should_stop=lambda: False)
        self._folder = out / Path(spec.model).name
        self._folder.mkdir(parents=True, exist_ok=True)
        self._searched = searched
        model, bits = self._materials.model, self._materials.stored_bits
        self._cost = model_cost(model.module, bits=bits, branches=self._materials.branches(model, (DROP,)))

    def row(self, ratio: float, recipe: str, evaluations: int, seed: int) -> Row:
        """The row, made now unless it is there."""
        done = self._folder / f"{ratio:g}x-{recipe.replace(', ', '-').replace(' ', '-')}-{evaluations}-{seed}.json"
        return kept(done, lambda: self._made(ratio, recipe, evaluations, seed))

    def _made(self, ratio: float, name: str, evaluations: int, seed: int) -> Row:
        about = {"ratio": ratio, "recipe": name, "evaluations": evaluations, "seed": seed}
        recipe, materials = RECIPES[name], self._materials
        try:
            folder = self._workspace(ratio, name)
        except PlanError as error:
            return {**about, "refused": str(error)}
        workspace = open_workspace(folder)
        found = search_plans(
            OURS, workspace.problem, workspace.evaluate, reward=REWARD, evaluations=evaluations, seed=seed
        )
        chosen = choose_from(materials, [found], start=materials.original, workspace=folder)
        plan = recipe.finish(chosen.plan, self._cost.layers)
        small = shrunk(materials.model, plan, StoredDecompositions(folder))
        with tempfile.TemporaryDirectory() as checkpoints:
            stored = Path(checkpoints) / "model"
            materials.save(small, stored)
            file_bytes, opened = checkpoint.inspect(stored).stored_bytes, checkpoint.load(stored)
        return {
            **about,
            "plan_bytes": self._cost.cost(plan).bytes,
            "file_bytes": file_bytes,
            "parameters": self._cost.cost(plan).parameters,
            "dev_wer": word_error_rate(opened, materials.dev),
            "test_wer": word_error_rate(opened, materials.test),
            "plan": plan.to_json(),
        }

    def _workspace(self, ratio: float, name: str) -> Path:
        """The folder of what searches of that ratio and recipe share, made now unless it is there."""
        folder = self._folder / f"workspace-{ratio:g}x-{list(RECIPES).index(name)}"
        if not folder.exists():
            partial = folder.with_name(folder.name + ".partial")
            partial.mkdir(parents=True, exist_ok=True)
            in_bytes = price_list(self._materials, "bytes", levers=RECIPES[name].levers)
            in_float32 = replace(in_bytes, original=FLOAT32_BYTES * self._cost.dense_parameters)
            make_workspace(
                self._materials,
                partial,
                start=self._materials.original,
                ratio=ratio,
                factorizer=FACTORIZER,
                cache=self._folder / "evaluations.sqlite",
                prices=RECIPES[name].prices(in_float32, self._cost.layers),
                levers=RECIPES[name].levers,
                searched=self._searched,
            )
            partial.replace(folder)
        return folder


def table(rows: Sequence[Row]) -> str:
    """Markdown, a line for each model, size and recipe."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join('---' for _ in COLUMNS)} |"]
    for (model, ratio, recipe), same in _grouped(rows).items():
        reached = [row for row in same if "refused" not in row]
        figures = (
            (_seeds(reached, "dev_wer"), _seeds(reached, "test_wer"), f"{max(r['file_bytes'] for r in reached):,}")
            if reached
            else ("out of reach", "", "")
        )
        lines.append(f"| {' | '.join((model, f'{ratio:g}x', recipe, str(len(same)), *figures))} |")
    return "\n".join(lines)


def picture(rows: Sequence[Row]) -> str:
    """A page with a figure for each model: the median WER on test of each recipe against its size."""
    parts: list[str] = []
    for model in dict.fromkeys(row["model"] for row in rows):
        figure = graph_objects.Figure()
        for recipe in RECIPES:
            groups = _grouped([row for row in rows if (row["model"], row["recipe"]) == (model, recipe)])
            points = [
                (ratio, 100 * statistics.median(row["test_wer"] for row in same))
                for (_, ratio, _), same in groups.items()
                if all("refused" not in row for row in same)
            ]
            figure.add_scatter(x=[x for x, _ in points], y=[y for _, y in points], name=recipe)
        figure.update_layout(title=model, xaxis_title="times fewer bytes than float32", yaxis_title="WER on test, %")
        figure.update_xaxes(type="log")
        parts.append(figure.to_html(full_html=False, include_plotlyjs=not parts))
    return f"<!doctype html><meta charset=utf-8><title>Levers</title>{''.join(parts)}"


def _grouped(rows: Sequence[Row]) -> dict[tuple[str, float, str], list[Row]]:
    groups: dict[tuple[str, float, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["ratio"], row["recipe"]), []).append(row)
    return groups


def _seeds(rows: Sequence[Row], key: str) -> str:
    each = ", ".join(f"{100 * row[key]:.2f}" for row in rows)
    return f"{100 * statistics.median(row[key] for row in rows):.2f} ({each})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=CONFIG, type=Path, help="a job, for its data")
    parser.add_argument("--models", nargs="+", default=MODELS, help="to compress")
    parser.add_argument("--ratios", type=float, nargs="+", default=[8.0, 16.0, 32.0], help="times fewer bytes")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES), help="to compare")
    parser.add_argument("--evaluations", type=int, default=50, help="plans judged per search")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the searches")
    parser.add_argument("--test", type=int, default=10_000, help="utterances of the test set that is made")
    parser.add_argument("--looked", type=int, help="utterances of searches that looks are made for: fewer cost less")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/levers"), help="folder of the rows")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spec = with_larger_test(read_job(arguments.config), arguments.test)
    out, rows = arguments.out / f"test-{arguments.test}", []
    for model in arguments.models:
        bench = Bench(spec.model_copy(update={"model": model}), out, arguments.looked)
        for ratio, recipe, seed in product(arguments.ratios, arguments.recipes, arguments.seeds):
            rows.append({"model": model, **bench.row(ratio, recipe, arguments.evaluations, seed)})
            print(json.dumps({key: value for key, value in rows[-1].items() if key != "plan"}), flush=True)
    print(table(rows))
    (out / "levers.html").write_text(picture(rows))


if __name__ == "__main__":
    main()
