"""The difference between strategies that is left after the same fine-tuning: `python benchmarks/tuned.py`.

The plans are those of `benchmarks/search.py`, whose rows are used where they are there. Each is fine-tuned from its own
factors with the job's settings, `learning_rate: auto` by the job's rule for what was lost (here on the proxy set, there
on dev), and measured on dev and test before and after. A row is written as soon as it is there.
"""

import argparse
from functools import partial
from pathlib import Path

import torch
from rows import Row, kept
from search import OURS, Bench, add_subject

from agents.pipeline.stages.steps.finetune_stage import mixes_precision
from agents.search.model_evaluator import shrunk
from agents.search.workspace import StoredDecompositions, read_problem
from shrinkml.job import read_job
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.training.learning_rate import learning_rate_for
from shrinkml.training.train import train

COLUMNS = ("ratio", "strategy", "seed", "dev before, %", "dev after, %", "test before, %", "test after, %")


def tuned(bench: Bench, row: Row, epochs: int) -> Row:
    """The WER of the plan of `row` after fine-tuning."""
    materials, folder, settings = bench.materials, bench.workspace(row["ratio"]), bench.spec.finetune
    model = shrunk(materials.model, CompressionPlan.from_json(row["plan"]), StoredDecompositions(folder))
    rate = settings.learning_rate
    if rate == "auto":
        rate = learning_rate_for(row["proxy_wer"] - read_problem(folder).baseline_wer)
    train(
        model,
        materials.train,
        epochs=epochs,
        learning_rate=rate,
        batch_size=settings.batch_size,
        seed=row["seed"],
        warp=settings.warp,
        mixed_precision=mixes_precision(model, settings),
        soft_targets=materials.soft_targets,
    )
    return {
        "dev_wer": word_error_rate(model, materials.dev),
        "test_wer": word_error_rate(model, materials.test),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratios", type=float, nargs="+", default=[5.0, 8.0, 12.0], help="times smaller")
    parser.add_argument("--evaluations", type=int, default=200, help="plans judged per search")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of searches and fine-tuning")
    parser.add_argument("--strategies", nargs="+", default=[OURS, "evolution", "greedy"], help="whose plans")
    parser.add_argument("--epochs", type=int, default=1, help="of fine-tuning")
    add_subject(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/bench/search"), help="folder of the searches' rows")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(read_job(arguments.config), arguments.factorizer, arguments.out)
    done = bench.folder / f"tuned-{arguments.epochs}"
    done.mkdir(exist_ok=True)
    print(f"| {' | '.join(COLUMNS)} |\n| {' | '.join('---' for _ in COLUMNS)} |")
    for ratio in arguments.ratios:
        for strategy in arguments.strategies:
            for seed in arguments.seeds:
                row = bench.row(ratio, arguments.evaluations, strategy, seed)
                path = done / f"{ratio:g}x-{arguments.evaluations}-{strategy}-{seed}.json"
                after = kept(path, partial(tuned, bench, row, arguments.epochs))
                wers = [100 * each[key] for key in ("dev_wer", "test_wer") for each in (row, after)]
                cells = (f"{ratio:g}x", strategy, str(seed), *(f"{wer:.2f}" for wer in wers))
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
