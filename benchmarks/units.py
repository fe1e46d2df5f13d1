"""Fewer units of recurrent layers beside ranks, without retraining: `python benchmarks/units.py`.

A row is one search for one model, resource, ratio and levers. The plan is taken as jobs take it: of the best few on the
proxy set, the best on all of dev. Test is only measured, and so is the speed in torch, one utterance at a time on one
thread beside the original. Rows are written as soon as they are there: run it again to add what is missing.
"""

import argparse
import json
import tempfile
from functools import partial
from itertools import product
from pathlib import Path

import torch
from search import CONFIG, OURS, REWARD, Row, kept

from agents.pipeline.materials import Materials
from agents.pipeline.price_lists import price_list
from agents.pipeline.stages.steps.calibrate_stage import make_workspace
from agents.pipeline.stages.steps.choose_stage import choose_from
from agents.search.model_evaluator import shrunk
from agents.search.opened_workspace import open_workspace
from agents.search.search_plans import search_plans
from agents.search.workspace import StoredDecompositions
from shrinkml.errors import PlanError
from shrinkml.job import JobSpec, read_job
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.measure.speed import speed_at
from shrinkml.plan.prices import Resource
from shrinkml.storage import checkpoint

FACTORIZER = JobSpec.model_fields["factorizer"].default
LEVERS = {"rank": ("rank",), "units": ("units",), "rank, units": ("rank", "units")}
COLUMNS = (
    "model", "goal", "levers", "dev WER %", "test WER %", "parameters", "times smaller", "times as fast",
    "directions with fewer units",
)  # fmt: skip
N_TIMED = 24  # utterances of dev
RUNS = 5  # timed passes of each model


def made(spec: JobSpec, resource: Resource, ratio: float, levers: str, evaluations: int, looked: int | None) -> Row:
    """One row.

    Args:
        spec: of model and data.
        resource: that is saved.
        ratio: so many times less of it.
        levers: name in LEVERS.
        evaluations: plans that are judged.
        looked: utterances of searches that the look is made for.
    """
    materials = Materials(spec.model, spec.data, seed=0, should_stop=lambda: False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "workspace").mkdir()
        prices = price_list(materials, resource, levers=LEVERS[levers])
        try:
            make_workspace(
                materials,
                folder / "workspace",
                start=materials.original,
                ratio=ratio,
                factorizer=FACTORIZER,
                cache=folder / "evaluations.sqlite",
                prices=prices,
                levers=LEVERS[levers],
                searched=looked,
            )
        except PlanError as error:
            return {"refused": str(error)}
        workspace = open_workspace(folder / "workspace")
        found = search_plans(
            OURS, workspace.problem, workspace.evaluate, reward=REWARD, evaluations=evaluations, seed=1
        )
        chosen = choose_from(materials, [found], start=materials.original, workspace=folder / "workspace")
        small = shrunk(materials.model, chosen.plan, StoredDecompositions(folder / "workspace"))
        materials.save(small, folder / "small")
        opened = checkpoint.load(folder / "small")
        parameters = checkpoint.stored_parameters(folder / "small")
    timed = materials.dev.subset(range(min(N_TIMED, len(materials.dev))))
    speed = speed_at(materials.model, opened, timed.features, timed.durations_s, batch_size=1, threads=1, runs=RUNS)
    return {
        "dev_wer": word_error_rate(opened, materials.dev),
        "test_wer": word_error_rate(opened, materials.test),
        "parameters": parameters,
        "times_smaller": checkpoint.stored_parameters(materials.original) / parameters,
        "speedup": speed.speedup,
        "foreseen": prices.ratio(chosen.plan),
        "narrow": [it.name for it in workspace.problem.decisions if it.follower],
        "plan": chosen.plan.to_json(),
    }


def table(rows: list[Row]) -> str:
    """Markdown, a line a row."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join('---' for _ in COLUMNS)} |"]
    for row in rows:
        about = row["model"], f"{row['ratio']:g}x {row['resource']}", row["levers"]
        if "refused" in row:
            figures: tuple[str, ...] = ("out of reach", "", "", "", "", "")
        else:
            wers = (f"{100 * row[key]:.2f}" for key in ("dev_wer", "test_wer"))
            sizes = f"{row['parameters']:,}", f"{row['times_smaller']:.2f}", f"{row['speedup']:.2f}"
            figures = (*wers, *sizes, str(len(row["narrow"])))
        lines.append(f"| {' | '.join((*about, *figures))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=CONFIG, type=Path, help="a job, for its data")
    parser.add_argument("--models", nargs="+", default=["reference/las"], help="to compress")
    parser.add_argument("--goals", nargs="+", default=["parameters:8", "latency:3"], help="resource:ratio")
    parser.add_argument("--levers", nargs="+", default=list(LEVERS), choices=list(LEVERS), help="to compare")
    parser.add_argument("--evaluations", type=int, default=30, help="plans judged per search")
    parser.add_argument("--looked", type=int, help="utterances of searches that looks are made for: fewer cost less")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/units"), help="folder of the rows")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spec, rows = read_job(arguments.config), []
    arguments.out.mkdir(parents=True, exist_ok=True)
    for model, goal, levers in product(arguments.models, arguments.goals, arguments.levers):
        resource, _, ratio = goal.partition(":")
        about = {"model": model, "resource": resource, "ratio": float(ratio), "levers": levers}
        name = f"{Path(model).name}-{resource}-{ratio}-{levers.replace(', ', '-')}-{arguments.evaluations}.json"
        one = spec.model_copy(update={"model": model})
        make = partial(made, one, resource, float(ratio), levers, arguments.evaluations, arguments.looked)
        rows.append({**about, **kept(arguments.out / name, make)})
        print(json.dumps({key: value for key, value in rows[-1].items() if key != "plan"}), flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
