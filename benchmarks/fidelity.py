"""Costs of judging plans by several measures, and how well each ranks them: `python benchmarks/fidelity.py`.

Plans for `reference/las` at one ratio, without retraining, are judged by every measure: WER by greedy decoding on sets
of several sizes, chosen in several ways, and the Kullback-Leibler divergence of the posteriors from the original's with
the transcripts fed in. The table gives, for each, Spearman's rank correlation (Spearman 1904) with the WER on all of
dev, on those utterances of dev that are not in the set, and on test, means over draws of the set; a bootstrap 95 %
interval of the first, over the plans and the draws; and the plans judged per minute of the processor, on one thread.
Two sets of plans: `far`, those that an evolution comes across on its way from the greedy plan, and `near`, those of the
default strategy, which differ so little that dev itself may not rank them as test does.

The naive way decomposes every layer, opens the model and decodes all of dev as it comes, for each plan. A second table
leaves it step by step, and so tells which step saves what.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.search.decompose_layers import decomposed
from agents.search.look.effort import EFFORTS
from agents.search.look.forced_scores import ForcedScores
from agents.search.look.layer_losses import few_of, layer_losses
from agents.search.look.recalled_losses import RecalledLosses
from agents.search.make_problem import problem_of
from agents.search.model_evaluator import shrunk
from agents.search.search_plans import search_plans
from envs.problem import CompressionProblem
from envs.rank_options import as_choices, rank_menus, with_rank_losses
from shrinkml.compression.sites import model_cost
from shrinkml.measure.evaluation import transcripts, word_error_rate
from shrinkml.models.heads import ATTENTION
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.prices import parameter_prices
from shrinkml.speech.manifest import read_manifest
from shrinkml.speech.proxy import choose_proxy
from shrinkml.speech.scoring import word_errors
from shrinkml.storage import checkpoint
from shrinkml.training.dataset import load_dataset
from shrinkml.training.distillation import divergence, soft_targets
from shrinkml.weights.decomposition import Decomposition

MODEL = "reference/las"
SIZES = (25, 50, 100, 200, 400)
WANTED = 0.95  # rank correlation
N_PROXY = 200  # of the last step away from the naive way
N_DRAWS = 50
N_TIMED = 3
N_RESAMPLES = 1000
BATCH_SIZE = 32
COLUMNS = (
    "plans", "measure", "utterances", "chosen", "rank correlation with all of dev (95 %)", "with the rest",
    "with test", "plans a minute",
)  # fmt: skip
STEPS = ("plans are judged", "seconds a plan", "times the rate of the row above", "times the naive way")
SETS = {"far": "evolution", "near": "surrogate"}  # set of plans -> the strategy that proposes them

Row = dict[str, Any]
Part = Any  # indices of utterances: a list or an array
Measure = Callable[[AsrModel, Part], object]


class Judge:
    """Judges plans of one model on parts of dev."""

    def __init__(self, data: Path, factorizer: str) -> None:
        self.model = checkpoint.load(MODEL)
        self.utterances = read_manifest(data / "dev.jsonl")
        self.dev = load_dataset(self.model, self.utterances)
        self.test = load_dataset(self.model, read_manifest(data / "test.jsonl"))
        self.calibration = load_dataset(self.model, read_manifest(data / "train.jsonl")[:200])
        self._factorizer = factorizer
        self.decompositions = self.decompose()
        self._soft = soft_targets(self.model, self.dev)
        self.entropies = np.array([float(-(p.values.exp() * p.values).sum()) for p in self._soft[ATTENTION]])  # nats

    def decompose(self) -> dict[str, Decomposition]:
        """All layers of the model, afresh."""
        return dict(decomposed(self.model, self.calibration, self._factorizer))

    def shrunk(self, plan: CompressionPlan) -> AsrModel:
        """The model under `plan`."""
        return shrunk(self.model, plan, self.decompositions)

    def errors(self, model: AsrModel, part: Part) -> np.ndarray:
        """[utterances] word errors by greedy decoding."""
        dataset = self.dev.subset(part)
        return word_errors(dataset.texts, transcripts(model, dataset, batch_size=BATCH_SIZE)).errors

    def errors_as_they_come(self, model: AsrModel) -> np.ndarray:
        """[utterances] the same for all of dev, in batches of utterances of any length."""
        model.module.eval()
        heard = [
            text
            for start in range(0, len(self.dev), BATCH_SIZE)
            for text in model.transcribe(self.dev.features[start : start + BATCH_SIZE])
        ]
        return word_errors(self.dev.texts, heard).errors

    @torch.no_grad()
    def divergence(self, model: AsrModel, part: Part) -> float:
        """Mean divergence from the original, over batches of utterances of similar length."""
        dataset = self.dev.subset(part)
        found = []
        for batch in dataset.batches(BATCH_SIZE):
            heads = model.teacher_forced([dataset.features[i] for i in batch], [dataset.texts[i] for i in batch])
            spoken = {ATTENTION: heads[ATTENTION]}  # nothing is decoded from the CTC head
            found.append((float(divergence(spoken, self._soft, [part[i] for i in batch])), len(batch)))
        values, weights = zip(*found, strict=True)
        return float(np.average(values, weights=weights))


def at_random(judge: Judge, n: int, seed: int) -> Part:
    """`n` utterances, each as likely as any other."""
    return np.random.default_rng(seed).choice(len(judge.dev), n, replace=False)


def stratified(judge: Judge, n: int, seed: int) -> Part:
    """The `n` utterances that jobs judge plans on."""
    return choose_proxy(judge.utterances, n, seed)


def most_uncertain(judge: Judge, n: int, seed: int) -> Part:
    """The `n` utterances with most entropy in the original's posteriors (Lewis and Gale 1994); no plan is asked."""
    return np.argsort(-judge.entropies, kind="stable")[:n]


CHOICES = {"by speaker and duration": stratified, "at random": at_random, "most uncertain": most_uncertain}


def propose(judge: Judge, problem: CompressionProblem, strategy: str, n: int) -> list[CompressionPlan]:
    """`n` plans that `strategy` comes across when it judges by divergence on 50 utterances."""
    few = choose_proxy(judge.utterances, 50, seed=1)
    found = search_plans(
        strategy,
        problem,
        lambda plan: judge.divergence(judge.shrunk(plan), few),
        reward="budget_wall",
        evaluations=n,
        seed=1,
    )
    return [trial.plan for trial in found.trials]


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, ties at their mean rank; 0 where all are tied."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def interval(draws: Sequence[np.ndarray], everywhere: np.ndarray) -> list[float]:
    """Bootstrap 95 % of the rank correlation over plans, and over `draws` of the utterances that judge them."""
    generator = np.random.default_rng(0)
    found = []
    for values in islice(cycle(draws), N_RESAMPLES):
        plans = generator.integers(len(everywhere), size=len(everywhere))
        found.append(rank_correlation(values[plans], everywhere[plans]))
    return [float(q) for q in np.quantile(found, [0.025, 0.975])]


def seconds(work: Callable[[], object]) -> float:
    """That the processor spends on `work`: on a busy machine the clock tells of others too."""
    started = time.process_time()
    work()
    return time.process_time() - started


def rows(judge: Judge, plans: Sequence[CompressionPlan], of: str) -> list[Row]:
    """One row for each measure, size and choice, for the set of plans called `of`."""
    everyone = np.arange(len(judge.dev))
    words = word_errors(judge.dev.texts, judge.dev.texts).n_words
    models = [judge.shrunk(plan) for plan in plans]
    errors = np.array([judge.errors(model, everyone) for model in models])  # [plans, utterances]
    everywhere = errors.sum(1) / words.sum()
    on_test = np.array([word_error_rate(model, judge.test) for model in models])

    def row(measure: str, work: Measure, chosen: str, parts: Sequence[np.ndarray], draws: list[np.ndarray]) -> Row:
        rests = [np.setdiff1d(everyone, part) for part in parts]
        elsewhere = [errors[:, rest].sum(1) / words[rest].sum() for rest in rests]
        return {
            "plans": of,
            "measure": measure,
            "utterances": len(parts[0]),
            "chosen": chosen,
            "seconds": typical_seconds(judge, plans[-N_TIMED:], work, parts[0]),
            "with_all": statistics.mean(rank_correlation(values, everywhere) for values in draws),
            "with_all_ci95": interval(draws, everywhere),
            "with_rest": statistics.mean(map(rank_correlation, draws, elsewhere)),
            "with_test": statistics.mean(rank_correlation(values, on_test) for values in draws),
            "dev_with_test": rank_correlation(everywhere, on_test),
        }

    made = []
    for n in SIZES:
        for chosen, choose in CHOICES.items():
            parts = [np.array(choose(judge, n, seed)) for seed in range(N_DRAWS)]
            made.append(row("WER", judge.errors, chosen, parts, [errors[:, part].sum(1) for part in parts]))
        part = np.array(choose_proxy(judge.utterances, n, seed=0))
        divergences = np.array([judge.divergence(model, part) for model in models])
        made.append(row("KL", judge.divergence, "by speaker and duration", [part], [divergences]))
    return made


def typical_seconds(judge: Judge, plans: Sequence[CompressionPlan], work: Measure, part: Part) -> float:
    """Median time of judging one of `plans`, surgery included."""

    def judged(plan: CompressionPlan) -> None:
        work(judge.shrunk(plan), part)

    return statistics.median(seconds(partial(judged, plan)) for plan in plans)


def steps(judge: Judge, plans: Sequence[CompressionPlan]) -> dict[str, float]:
    """Median seconds of judging one of `plans`, from the naive way to ours, each step with those before it."""
    proxy, everyone = choose_proxy(judge.utterances, N_PROXY, seed=0), range(len(judge.dev))
    ways: dict[str, Callable[[CompressionPlan], object]] = {
        "the naive way": lambda plan: judge.errors_as_they_come(
            shrunk(checkpoint.load(MODEL), plan, judge.decompose())
        ),
        "layers decomposed once": lambda plan: judge.errors_as_they_come(
            shrunk(checkpoint.load(MODEL), plan, judge.decompositions)
        ),
        "the model opened once, its factors sliced": lambda plan: judge.errors_as_they_come(judge.shrunk(plan)),
        "utterances of similar length in a batch": lambda plan: judge.errors(judge.shrunk(plan), everyone),
        f"{N_PROXY} utterances": lambda plan: judge.errors(judge.shrunk(plan), proxy),
    }
    return {name: statistics.median(seconds(partial(judged, plan)) for plan in plans) for name, judged in ways.items()}


def table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *lines))


def cells(row: Row) -> list[str]:
    """Of one row of the first table."""
    low, high = row["with_all_ci95"]
    correlation = f"{row['with_all']:.3f} ({low:.3f} to {high:.3f})"
    shown = (row["plans"], row["measure"], row["utterances"], row["chosen"], correlation)
    return [*map(str, shown), f"{row['with_rest']:.3f}", f"{row['with_test']:.3f}", f"{60 / row['seconds']:.0f}"]


def step_cells(taken: dict[str, float]) -> Iterator[list[str]]:
    """The lines of the second table."""
    naive_s = before_s = next(iter(taken.values()))
    for name, now_s in taken.items():
        yield [name, f"{now_s:.2f}", f"{before_s / now_s:.2f}", f"{naive_s / now_s:.1f}"]
        before_s = now_s


def enough(found: Sequence[Row]) -> Iterator[str]:
    """For each set of plans and choice, in words, from how many utterances on WER ranks plans as all of dev does."""
    for of, chosen in product(SETS, CHOICES):
        same = [row for row in found if (row["plans"], row["measure"], row["chosen"]) == (of, "WER", chosen)]
        means = [row["utterances"] for row in same if row["with_all"] >= WANTED]
        surely = [row["utterances"] for row in same if row["with_all_ci95"][0] >= WANTED]
        yield (
            f"Plans {of}, utterances {chosen}: WER ranks them as all of dev does ({WANTED} or more) from "
            f"{_first(means)} utterances on, the lower end of the interval from {_first(surely)} on. "
            f"All of dev ranks them as test does by {same[0]['dev_with_test']:.3f}."
        )


def _first(sizes: Sequence[int]) -> str:
    return str(min(sizes)) if sizes else f"more than {max(SIZES)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/commands"), help="folder of the prepared commands")
    parser.add_argument("--ratio", type=float, default=8.0, help="times smaller")
    parser.add_argument("--factorizer", default="svd", help="svd, whitened or pca")
    parser.add_argument("--plans", type=int, default=40, help="in each set")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/fidelity"), help="folder of the results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    judge = Judge(arguments.data, arguments.factorizer)
    prices = parameter_prices(model_cost(judge.model))
    problem = problem_of(judge.model, judge.decompositions, prices=prices, ratio=arguments.ratio, baseline_wer=0.0)
    few = few_of(judge.calibration, EFFORTS[0].n_heard)
    measured = RecalledLosses(lambda: ForcedScores(judge.model, judge.shrunk, few))
    left_out = {(d.name, o.choice.rank): 1.0 - o.retained_energy for d in problem.decisions for o in d.options}
    choices = as_choices(rank_menus(problem))
    losses = layer_losses(measured, choices, lambda *of: left_out[of], n_ranks=EFFORTS[0].n_ranks)
    assert losses is not None, "the reference tells its scores"
    problem = with_rank_losses(problem, losses.curves, tokens_per_utterance=losses.tokens_per_utterance)
    plans = {name: propose(judge, problem, strategy, arguments.plans) for name, strategy in SETS.items()}
    taken = steps(judge, plans["near"][-N_TIMED:])
    print(table(STEPS, step_cells(taken)), flush=True)
    found = [row for name, some in plans.items() for row in rows(judge, some, name)]
    print("", table(COLUMNS, map(cells, found)), "", *enough(found), sep="\n")
    arguments.out.mkdir(parents=True, exist_ok=True)
    facts = {"ratio": arguments.ratio, "factorizer": arguments.factorizer, "steps_s": taken, "rows": found}
    (arguments.out / f"{arguments.factorizer}-{arguments.ratio:g}x.json").write_text(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
