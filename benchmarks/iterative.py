"""Iterative compression against its alternatives, at the same training: `python benchmarks/iterative.py`.

Every row is one model of `configs/iterative.yaml`'s original, measured on the same test set:

dense       the original, trained on the transcripts for as many epochs as the others; without a teacher, which could
            only hold it where it is
iterative   several steps, each search + factorize + fine-tune (Mehrotra et al. 2020, arXiv:2008.02897)
single      one step: one search with the evaluations of all steps, one fine-tuning with their epochs
narrow      a LAS with fewer units and as many parameters, trained from nothing with the original as its teacher

A row is written as soon as it is there; run it again to add what is missing. Rows of other ratios or seeds can be made
by other processes at the same time. Rows of other settings lie in another folder and never share a table.
"""

import argparse
import functools
import hashlib
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from agents.pipeline.job_run import run_job
from agents.pipeline.materials import Materials
from shrinkml.job import DataSpec, Goal, JobSpec, read_job
from shrinkml.measure.evaluation import count_parameters, evaluate
from shrinkml.measure.speed import speedup
from shrinkml.models.las.las import Las
from shrinkml.models.las.las_operations import LAS_MODELS
from shrinkml.storage import checkpoint
from shrinkml.training.distillation import DISTILL_WEIGHT, SoftTargets
from shrinkml.training.train import train

CONFIG = Path(__file__).parent.parent / "configs" / "iterative.yaml"
METHODS = ("iterative", "single", "narrow", "dense")
NARROW_LEARNING_RATE = 2e-3  # about the reference recipe's: dense matrices want smaller steps than factors
DENSE_LEARNING_RATE = 1e-3  # a model that is trained already wants a lower one
N_TIMED = 32
COLUMNS = (
    "ratio", "method", "seeds", "WER % (each seed)", "95 % CI of the first", "parameters", "kB", "batch 1", "batch 16",
    "minutes",
)  # fmt: skip

Row = dict[str, Any]


def total_epochs(spec: JobSpec) -> int:
    return sum(spec.epochs_at(ratio) for ratio in spec.step_ratios)


def iterative(spec: JobSpec, ratio: float, folder: Path) -> Path:
    return _compressed(_at(spec, ratio, "auto"), folder)


def single(spec: JobSpec, ratio: float, folder: Path) -> Path:
    staged = _at(spec, ratio, "auto")
    search = staged.search.model_copy(update={"evaluations": staged.search.evaluations * len(staged.step_ratios)})
    finetune = staged.finetune.model_copy(update={"final_epochs": total_epochs(staged)})
    return _compressed(_at(spec, ratio, (ratio,)).model_copy(update={"search": search, "finetune": finetune}), folder)


def narrow(spec: JobSpec, ratio: float, folder: Path) -> Path:
    materials = _materials(spec)
    original = materials.model
    student = _narrowed(original, int(count_parameters(original) / ratio), spec.seed)
    epochs = total_epochs(_at(spec, ratio, "auto"))
    return _trained(student, spec, materials, epochs, NARROW_LEARNING_RATE, materials.soft_targets, folder)


def dense(spec: JobSpec, ratio: float, folder: Path) -> Path:
    materials = _materials(spec)
    epochs = total_epochs(_at(spec, ratio, "auto"))
    model = checkpoint.load(spec.model)
    return _trained(model, spec, materials, epochs, DENSE_LEARNING_RATE, None, folder)


MAKERS: dict[str, Callable[[JobSpec, float, Path], Path]] = {
    "iterative": iterative,
    "single": single,
    "narrow": narrow,
    "dense": dense,
}


def settings_of(spec: JobSpec) -> str:
    """Twelve hex digits that rows share exactly when they may stand in one table."""
    facts = spec.model_dump_json(include={"search", "factorizer", "finetune"})
    facts += str((DISTILL_WEIGHT, NARROW_LEARNING_RATE, DENSE_LEARNING_RATE))
    facts += checkpoint.inspect(spec.model).digest + str((spec.data.train_utterances, spec.data.proxy_utterances))
    return hashlib.sha256(facts.encode()).hexdigest()[:12]


def name_of(spec: JobSpec, method: str, ratio: float, seed: int) -> str:
    """Of the folder of a row: the dense model is the same for all ratios that take as many epochs."""
    if method == "dense":
        return f"dense-{total_epochs(_at(spec, ratio, 'auto'))}-epochs-{seed}"
    return f"{method}-{ratio:g}x-{seed}"


def row(spec: JobSpec, method: str, ratio: float, seed: int, folder: Path) -> Row:
    """The row of `method`, made now unless `folder` holds it."""
    done = folder / "row.json"
    if done.exists():
        value: Row = json.loads(done.read_text())
        return value
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    model = MAKERS[method](spec.model_copy(update={"seed": seed}), ratio, folder)
    seconds = time.monotonic() - started
    epochs = total_epochs(_at(spec, ratio, "auto"))
    facts = {"method": method, "ratio": ratio, "epochs": epochs, "seed": seed, "seconds": seconds}
    value = {**facts, **_measured(spec, model)}
    done.write_text(json.dumps(value, indent=2))
    return value


def table(rows: Sequence[Row]) -> str:
    """Markdown: medians over the seeds, with the range of WER."""
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        f"| {' | '.join('---' for _ in COLUMNS)} |",
    ]
    compressed = [row for row in rows if row["method"] != "dense"]
    for ratio, epochs in sorted({(row["ratio"], row["epochs"]) for row in compressed}):
        for method in METHODS:
            asked = ("epochs", epochs) if method == "dense" else ("ratio", ratio)
            same = [row for row in rows if row["method"] == method and row[asked[0]] == asked[1]]
            if same:
                lines.append(_line(ratio, method, same))
    return "\n".join(lines)


def _line(ratio: float, method: str, rows: Sequence[Row]) -> str:
    def median(key: str) -> float:
        return float(statistics.median(row[key] for row in rows))

    low, high = rows[0]["wer_ci95"]
    wers = ", ".join(f"{100 * row['wer']:.2f}" for row in rows)
    return (
        f"| {ratio:g}x | {method} | {len(rows)} | {100 * median('wer'):.2f} ({wers}) "
        f"| {100 * low:.2f} to {100 * high:.2f} | {median('parameters') / 1e3:.0f} k | {median('bytes') / 1e3:.0f} "
        f"| {median('batch1'):.2f}x | {median('batch16'):.2f}x | {median('seconds') / 60:.0f} |"
    )


def _at(spec: JobSpec, ratio: float, steps: Any) -> JobSpec:
    """`spec` going for `ratio` alone: without baselines, and with a gate that never sends it back (equal training)."""
    goal = Goal(compression_ratio=ratio, max_wer_increase=1.0)
    search = spec.search.model_copy(update={"baselines": ()})
    return spec.model_copy(update={"goal": goal, "steps": steps, "search": search, "executor": "local"})


def _compressed(spec: JobSpec, folder: Path) -> Path:
    run_job(spec, folder / "job", materials=_materials(spec))
    return folder / "job" / "checkpoints" / "final"


def _materials(spec: JobSpec) -> Materials:
    return _shared_materials(spec.model, spec.data, spec.seed)


@functools.cache
def _shared_materials(model: str, data: DataSpec, seed: int) -> Materials:
    """Read once per process: the features and the teacher's posteriors of a training set take minutes."""
    return Materials(model, data, seed=seed, should_stop=lambda: False)


def _narrowed(original: Las, budget: int, seed: int) -> Las:
    """The widest LAS of at most `budget` parameters whose layers keep the original's proportions."""
    whole = original.config
    for hidden in range(whole.hidden, 0, -1):
        share = hidden / whole.hidden
        shape = replace(
            whole,
            hidden=hidden,
            decoder=max(1, round(share * whole.decoder)),
            embedding=max(1, round(share * whole.embedding)),
        )
        model = LAS_MODELS.seeded(shape, original.tokenizer, seed)
        if count_parameters(model) <= budget:
            return model
    raise ValueError(f"no LAS has {budget} parameters or fewer")


def _trained(
    model: Las,
    spec: JobSpec,
    materials: Materials,
    epochs: int,
    learning_rate: float,
    targets: SoftTargets | None,
    folder: Path,
) -> Path:
    train(
        model,
        materials.train,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=spec.finetune.batch_size,
        seed=spec.seed,
        warp=spec.finetune.warp,
        soft_targets=targets,
        state_file=folder / "training.pt",
    )
    checkpoint.save(model, folder / "model", dtype=checkpoint.inspect(spec.model).dtype)
    (folder / "training.pt").unlink()
    return folder / "model"


def _measured(spec: JobSpec, model: Path) -> Row:
    materials = _materials(spec)
    loaded = checkpoint.load(model)
    stored_bytes = checkpoint.inspect(model).stored_bytes
    test = evaluate(loaded, materials.test, stored_bytes=stored_bytes).to_json()
    dev = evaluate(loaded, materials.dev, stored_bytes=stored_bytes)
    timed = materials.test.subset(range(N_TIMED))
    speed = speedup(materials.model, loaded, timed.features, timed.durations_s)
    keys = ("wer", "wer_ci95", "n_utterances", "parameters", "bytes")
    return {
        **{key: test[key] for key in keys},
        "dev_wer": dev.wer,
        "batch1": speed.batch1,
        "batch16": speed.batch16,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratios", type=float, nargs="+", default=[12.0, 16.0], help="compression ratios")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="seeds")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS, help="rows to make")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/iterative"), help="folder of the rows")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of this process")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    spec = read_job(CONFIG)
    out = arguments.out / settings_of(spec)
    for seed in arguments.seeds:
        for ratio in arguments.ratios:
            for method in arguments.methods:
                folder = out / name_of(spec, method, ratio, seed)
                made = row(spec, method, ratio, seed, folder)
                print(f"{folder.name}: {100 * made['wer']:.2f} % WER, {made['seconds'] / 60:.1f} min", flush=True)
    rows = [json.loads(path.read_text()) for path in sorted(out.glob("*/row.json"))]
    text = table(sorted(rows, key=lambda row: row["seed"]))
    (arguments.out / "table.md").write_text(text + "\n")
    (arguments.out / "rows.json").write_text(json.dumps(rows, indent=2))
    print(text)


if __name__ == "__main__":
    main()
