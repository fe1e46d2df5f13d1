"""Searched plans against LiteASR's at LiteASR's own sizes, without retraining: `python benchmarks/liteasr.py`.

LiteASR (Kamahori et al. 2025, arXiv:2502.20583) cuts every layer by one rule: the principal components of its outputs
on calibration speech, as many as keep a share of their energy, in multiples of 16, and none where that saves nothing
(where it saves just nothing LiteASR factorizes all the same, which can only cost it words). A row is one threshold on
that share. Beside it: the default strategy, asked for a model as small, with the same factors and calibration speech,
its plan taken as jobs take it: of the best few on the proxy set, the best on dev. Test is only measured; plans that
lose little differ by a few words of the commands task's own test set, so a larger one is made: new sentences, and the
voices of test. A row is written as soon as it is there.
"""

import argparse
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rows import Row, kept
from search import CONFIG, OURS, Bench

from agents.search.workspace import StoredDecompositions, read_problem
from shrinkml.job import JobSpec, read_job
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.corpora import commands
from shrinkml.weights.decomposition import Decomposition

DATA = Path("data")
FACTORIZER = "pca"
MULTIPLE = 16
LARGEST = 1.0  # compression ratio of a workspace whose plans are not to be searched
COLUMNS = (
    "energy kept", "times smaller", "LiteASR, dev", "test", "ours, dev, median (each seed)", "ours, test",
)  # fmt: skip


def liteasr_plan(
    shapes: Mapping[str, Sequence[int]], factors: Mapping[str, Decomposition], shares: Mapping[str, float]
) -> CompressionPlan:
    """LiteASR's plan.

    Args:
        shapes: layer -> its rows and columns.
        factors: layer -> principal components of its outputs.
        shares: layer -> energy of its outputs to keep; others stay as they are.
    """
    ranks = {}
    for name, share in shares.items():
        energy = np.cumsum(np.square(factors[name].singular_values.double().numpy()))
        needed = int(np.searchsorted(energy, share * energy[-1])) + 1
        rank = -(-needed // MULTIPLE) * MULTIPLE
        if rank * sum(shapes[name]) < math.prod(shapes[name]):
            ranks[name] = rank
    return CompressionPlan.of_ranks(ranks)


def compared(bench: Bench, share: float, evaluations: int, seeds: list[int]) -> tuple[str, ...]:
    """The cells of one threshold."""
    shared = bench.workspace(LARGEST)
    problem = read_problem(shared)
    shapes = {decision.name: decision.shape for decision in problem.decisions}
    plan = liteasr_plan(shapes, StoredDecompositions(shared), dict.fromkeys(shapes, share))
    ratio = problem.prices.ratio(plan)
    theirs = kept(bench.folder / f"liteasr-{share:g}.json", lambda: bench.measured(plan, shared))
    ours = [bench.row(ratio, evaluations, OURS, seed) for seed in seeds]
    percents = (f"{100 * theirs[key]:.2f} %" for key in ("dev_wer", "test_wer"))
    return (f"{share:g}", f"{ratio:.2f}", *percents, _seeds(ours, "dev_wer"), _seeds(ours, "test_wer"))


def original(bench: Bench) -> tuple[str, ...]:
    """The cells of the model as it is: where a plan has its WER, nothing is left to win."""
    found = kept(bench.folder / "original.json", lambda: bench.measured(CompressionPlan(), bench.workspace(LARGEST)))
    return ("the original", "1.00", *(f"{100 * found[key]:.2f} %" for key in ("dev_wer", "test_wer")), "", "")


def _seeds(rows: list[Row], key: str) -> str:
    each = ", ".join(f"{100 * row[key]:.2f}" for row in rows)
    return f"{100 * statistics.median(row[key] for row in rows):.2f} % ({each})"


def with_larger_test(spec: JobSpec, n: int) -> JobSpec:
    """`spec` with `n` utterances of the commands task for test."""
    made = commands.prepare(DATA / f"commands-{n}", train=1, dev=1, test=n)
    return spec.model_copy(update={"data": spec.data.model_copy(update={"test": str(made["test"])})})


def row(cells: Sequence[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=CONFIG, type=Path, help="a job, for its model and data")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.999, 0.99, 0.95], help="energy to keep")
    parser.add_argument("--evaluations", type=int, default=200, help="plans judged per search")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the searches")
    parser.add_argument("--test", type=int, default=10_000, help="utterances of the test set that is made")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/liteasr"), help="folder of the rows")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spec = with_larger_test(read_job(arguments.config), arguments.test)
    bench = Bench(spec, FACTORIZER, arguments.out / f"test-{arguments.test}")
    row(COLUMNS)
    row(["---"] * len(COLUMNS))
    row(original(bench))
    for share in arguments.shares:
        row(compared(bench, share, arguments.evaluations, arguments.seeds))


if __name__ == "__main__":
    main()
