"""How cheaply plans can be judged, and how well that ranks them: `python benchmarks/fidelity.py`.

Plans for `reference/las` at one ratio, without retraining, are judged by every measure: WER by greedy decoding, and the
Kullback-Leibler divergence of the posteriors from the original's with the transcripts fed in, each on proxy sets of
several sizes. The table gives, for each, Spearman's rank correlation (Spearman 1904) with the WER on all of dev and on
those utterances of dev that are not in the proxy set, a bootstrap 95 % interval over the plans for the former, and the
plans judged per minute on one thread. The naive way (decompose, rebuild, decode all of dev) is the row that the others
are compared with. Two sets of plans: `spread`, drawn at random around the greedy one, and `near`, those that an
evolution comes across, which differ little.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.decomposing import decomposed
from agents.evaluator import shrunk
from agents.posing import pose
from agents.strategies import search_plans
from envs.problem import RankProblem
from shrinkml import checkpoint
from shrinkml.compression.factorize import Decomposition
from shrinkml.compression.layers import model_cost
from shrinkml.compression.plan import RankPlan
from shrinkml.compression.prices import parameter_prices
from shrinkml.dataset import load_dataset
from shrinkml.distillation import divergence, soft_targets
from shrinkml.evaluation import transcripts
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.manifest import read_manifest
from shrinkml.speech.proxy import choose_proxy
from shrinkml.speech.scoring import word_errors

SIZES = (25, 50, 100, 200, 400)
N_TIMED = 3
N_RESAMPLES = 1000
BATCH_SIZE = 32
COLUMNS = (
    "plans", "measure", "utterances", "rank correlation with all of dev (95 %)", "with the rest", "plans a minute",
    "times the naive way",
)  # fmt: skip
SETS = {"spread": "random", "near": "evolution"}  # set of plans -> the strategy that proposes them

Row = dict[str, Any]
Part = Any  # indices of utterances: a list or an array
Measure = Callable[[AsrModel, Part], object]


class Judge:
    """Judges plans of one model on parts of dev."""

    def __init__(self, dev: Path, calibration: Path, factorizer: str) -> None:
        self.model = checkpoint.load("reference/las")
        self.utterances = read_manifest(dev)
        self.dev = load_dataset(self.model, self.utterances)
        self._calibration = load_dataset(self.model, read_manifest(calibration)[:200])
        self._factorizer = factorizer
        self.decompositions = self.decompose()
        self._soft = soft_targets(self.model, self.dev)

    def decompose(self) -> dict[str, Decomposition]:
        """All layers of the model, afresh."""
        return dict(decomposed(self.model, self._calibration, self._factorizer))

    def shrunk(self, plan: RankPlan) -> AsrModel:
        """The model under `plan`."""
        return shrunk(self.model, plan, self.decompositions)

    def errors(self, model: AsrModel, part: Part) -> np.ndarray:
        """[utterances] word errors by greedy decoding."""
        dataset = self.dev.subset(part)
        return word_errors(dataset.texts, transcripts(model, dataset, batch_size=BATCH_SIZE)).errors

    @torch.no_grad()
    def divergence(self, model: AsrModel, part: Part) -> float:
        """Mean divergence from the original, over batches of utterances of similar length."""
        dataset = self.dev.subset(part)
        found = []
        for batch in dataset.batches(BATCH_SIZE):
            output = model.teacher_forced([dataset.features[i] for i in batch], [dataset.texts[i] for i in batch])
            spoken = replace(output, ctc_logits=None)  # nothing is decoded from the CTC head
            found.append((float(divergence(spoken, self._soft, [part[i] for i in batch])), len(batch)))
        values, weights = zip(*found, strict=True)
        return float(np.average(values, weights=weights))


def propose(judge: Judge, problem: RankProblem, strategy: str, n: int) -> list[RankPlan]:
    """`n` plans that `strategy` comes across when it judges by divergence on 50 utterances."""
    few = choose_proxy(judge.utterances, 50, seed=1)
    found = search_plans(
        strategy,
        problem,
        lambda plan: judge.divergence(judge.shrunk(plan), few),
        reward="budget_wall",
        evaluations=n,
        seed=1,
        on_trial=lambda trial, n_done: None,
        should_stop=lambda: False,
    )
    return [trial.plan for trial in found.trials]


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, ties at their mean rank."""
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def interval(one: np.ndarray, other: np.ndarray) -> list[float]:
    """Bootstrap 95 % of the rank correlation, over the plans."""
    generator = np.random.default_rng(0)
    draws = (generator.integers(len(one), size=len(one)) for _ in range(N_RESAMPLES))
    return [float(q) for q in np.quantile([rank_correlation(one[draw], other[draw]) for draw in draws], [0.025, 0.975])]


def seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def rows(judge: Judge, plans: Sequence[RankPlan], of: str) -> list[Row]:
    """One row for each measure and size, for the set of plans called `of`."""
    everyone = np.arange(len(judge.dev))
    words = word_errors(judge.dev.texts, judge.dev.texts).n_words
    models = [judge.shrunk(plan) for plan in plans]
    errors = np.array([judge.errors(model, everyone) for model in models])  # [plans, utterances]
    everywhere = errors.sum(1) / words.sum()
    made = []
    for n in SIZES:
        proxy = np.array(choose_proxy(judge.utterances, n, seed=0))
        rest = np.setdiff1d(everyone, proxy)
        elsewhere = errors[:, rest].sum(1) / words[rest].sum()
        judged = {
            "WER": (judge.errors, errors[:, proxy].sum(1)),
            "KL": (judge.divergence, np.array([judge.divergence(model, proxy) for model in models])),
        }
        for measure, (work, values) in judged.items():
            made.append(
                {
                    "plans": of,
                    "measure": measure,
                    "utterances": n,
                    "seconds": typical_seconds(judge, plans[:N_TIMED], work, proxy),
                    "with_all": rank_correlation(values, everywhere),
                    "with_all_ci95": interval(values, everywhere),
                    "with_rest": rank_correlation(values, elsewhere),
                }
            )
    return made


def typical_seconds(judge: Judge, plans: Sequence[RankPlan], work: Measure, proxy: np.ndarray) -> float:
    """Median time of judging one of `plans`, surgery included."""
    return statistics.median(seconds(partial(_judge, judge, plan, work, proxy)) for plan in plans)


def _judge(judge: Judge, plan: RankPlan, work: Measure, proxy: np.ndarray) -> None:
    work(judge.shrunk(plan), proxy)


def naive_seconds(judge: Judge, plan: RankPlan) -> float:
    """Of one plan judged the naive way."""

    def work() -> None:
        model = shrunk(judge.model, plan, judge.decompose())
        judge.errors(model, range(len(judge.dev)))

    return seconds(work)


def table(found: Sequence[Row], naive_s: float) -> str:
    """Markdown, and how long the naive way takes."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join('---' for _ in COLUMNS)} |"]
    for row in found:
        low, high = row["with_all_ci95"]
        cells = (
            row["plans"],
            row["measure"],
            str(row["utterances"]),
            f"{row['with_all']:.3f} ({low:.3f} to {high:.3f})",
            f"{row['with_rest']:.3f}",
            f"{60 / row['seconds']:.0f}",
            f"{naive_s / row['seconds']:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"The naive way takes {naive_s:.1f} s a plan."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/commands"), help="folder of the prepared commands")
    parser.add_argument("--ratio", type=float, default=8.0, help="times smaller")
    parser.add_argument("--factorizer", default="svd", help="svd, whitened or pca")
    parser.add_argument("--plans", type=int, default=40, help="in each set")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/fidelity"), help="folder of the results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    judge = Judge(arguments.data / "dev.jsonl", arguments.data / "train.jsonl", arguments.factorizer)
    prices = parameter_prices(model_cost(judge.model))
    problem = pose(judge.model, judge.decompositions, prices=prices, ratio=arguments.ratio, baseline_wer=0.0)
    found = []
    for name, strategy in SETS.items():
        plans = propose(judge, problem, strategy, arguments.plans)
        found += rows(judge, plans, name)
        naive_s = naive_seconds(judge, plans[0])
        print(table(found, naive_s), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    facts = {"ratio": arguments.ratio, "factorizer": arguments.factorizer, "naive_s": naive_s, "rows": found}
    (arguments.out / f"{arguments.factorizer}-{arguments.ratio:g}x.json").write_text(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
