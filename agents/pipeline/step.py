"""One compression ratio, gone for: calibrate, search, choose, factorize, finetune, evaluate, with a gate at the end."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agents.execution.executor import Executor, OnTaskTrial, SearchTask
from agents.pipeline import stages
from agents.pipeline.materials import Materials
from agents.pipeline.policies import Policies, keep_policy
from agents.pipeline.run_folder import Describe, RunFolder
from agents.pipeline.schedule import Attempt
from agents.pipeline.stage_runner import Finished, StageRunner, Teller
from agents.search.search_result import SearchResult, Trial
from agents.search.workspace import read_problem
from envs.problem import RankProblem
from shrinkml.errors import StoppedError
from shrinkml.events import ShouldStop
from shrinkml.job import JobSpec
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.prices import PriceList
from shrinkml.training.learning_rate import learning_rate_for
from shrinkml.training.train import Epoch

SO_FAR = "best-so-far"  # the checkpoint that a stopped job leaves
RESULTS = "results.json"  # of a search stage: all its SearchResults
MODEL = "model"  # of a factorize or finetune stage: the checkpoint


@dataclass(frozen=True, slots=True)
class Tools:
    """What an attempt works with.

    Attributes:
        spec: the job.
        folder: its folder.
        materials: the original and the speech.
        runner: runs the stages.
        executor: runs the searches.
        should_stop: whether to end early.
    """

    spec: JobSpec
    folder: RunFolder
    materials: Materials
    runner: StageRunner
    executor: Executor
    should_stop: ShouldStop


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the original is.

    Attributes:
        dev: its Evaluation on dev, as JSON.
        proxy: its Evaluation on the proxy set, as JSON.
        calls_per_s: layer -> products per second of audio.
        prices: what its plans cost in what the goal counts.
    """

    dev: Mapping[str, Any]
    proxy: Mapping[str, Any]
    calls_per_s: Mapping[str, float]
    prices: PriceList


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt.

    Attributes:
        attempt: what decides how the job goes on.
        problem: what was searched.
        results: of all its searches.
        plan: that was taken.
        finalists: the plans that were judged again, the chosen one first.
        before: Evaluation of the factorized model on dev, as JSON.
        after: the same after fine-tuning.
        kept: which of both it was: "fine-tuned" or "factorized".
        seconds: that its stages took.
    """

    attempt: Attempt
    problem: RankProblem
    results: Sequence[SearchResult]
    plan: CompressionPlan
    finalists: Sequence[Mapping[str, Any]]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    kept: str
    seconds: float


class RatioAttempt:
    """The stages that lead from one checkpoint to a smaller one."""

    def __init__(
        self,
        tools: Tools,
        ratio: float,
        *,
        baseline: Baseline,
        start: Path,
        checkpoint: str,
        ahead: Sequence[float],
        policies: Policies,
    ) -> None:
        """Nothing is done yet.

        Args:
            tools: see there.
            ratio: how many times cheaper than the original the model must become, in what the goal counts.
            baseline: of the original.
            start: checkpoint of the original, or of an earlier attempt.
            checkpoint: name in checkpoints/ of what comes of it.
            ahead: ratios still to be tried after this one.
            policies: what its searches go on from.
        """
        self._tools = tools
        self._ratio = ratio
        self._baseline = baseline
        self._start = start
        self._checkpoint = checkpoint
        self._ahead = ahead
        self._policies = policies
        self._seconds = 0.0

    def run(self) -> Outcome:
        """All stages; the model lies in checkpoints/ afterwards.

        Raises:
            StoppedError: stopped; the best model of this attempt, if there is one, is checkpoints/SO_FAR.
        """
        posed = self._stage("calibrate", self._pose)
        searched = self._stage("search", partial(self._search, posed.folder))
        results = [SearchResult.from_json(value) for value in json.loads((searched.folder / RESULTS).read_text())]
        keep_policy(self._tools.folder, self._tools.spec.search.strategy, results)
        with self._best_kept_on_stop(results, posed.folder):
            chosen = self._stage("choose", partial(self._choose, posed.folder, results)).result
        plan = CompressionPlan.from_json(chosen["plan"])
        factorized = self._stage("factorize", partial(self._factorize, posed.folder, plan))
        described = self._described("dev", self._baseline.dev, factorized.result["dev"])
        with kept_on_stop(self._tools.folder, factorized.folder / MODEL, described):
            tuned = self._stage("finetune", partial(self._finetune, factorized)) if self._epochs else None
            evaluated = self._stage("evaluate", partial(self._evaluate, factorized, tuned)).result
        attempt = Attempt(
            ratio=self._ratio,
            reached=self._baseline.prices.ratio(plan),
            wer=evaluated["wer"],
            passed=evaluated["passed"],
            checkpoint=self._checkpoint,
        )
        return Outcome(
            attempt=attempt,
            problem=read_problem(posed.folder),
            results=results,
            plan=plan,
            finalists=chosen["finalists"],
            before=factorized.result["dev"],
            after=evaluated["after"],
            kept=evaluated["kept"],
            seconds=self._seconds,
        )

    @property
    def _epochs(self) -> int:
        return self._tools.spec.epochs_at(self._ratio)

    def _stage(self, kind: str, work: Callable[[Path, Teller], dict[str, Any]]) -> Finished:
        finished = self._tools.runner.run(kind, work, ratio=self._ratio, ahead=self._ahead)
        self._seconds += finished.result["seconds"]
        return finished

    def _pose(self, folder: Path, _: Teller) -> dict[str, Any]:
        return stages.pose_problem(
            self._tools.materials,
            folder,
            start=self._start,
            ratio=self._ratio,
            factorizer=self._tools.spec.factorizer,
            cache=self._tools.folder.evaluations,
            prices=self._baseline.prices,
        )

    def _search(self, workspace: Path, folder: Path, teller: Teller) -> dict[str, Any]:
        tools = self._tools
        tasks = search_tasks(tools.spec, str(workspace), self._policies)
        results = tools.executor.run(
            tasks, on_trial=_trial_teller(teller, tasks, self._baseline, self._ratio), should_stop=tools.should_stop
        )
        with self._best_kept_on_stop(results, workspace):
            if tools.should_stop():
                raise StoppedError(f"stopped while searching for {self._ratio:g}x")
        (folder / RESULTS).write_text(json.dumps([result.to_json() for result in results]))
        return {"evaluations": sum(len(result.trials) for result in results)}

    @contextmanager
    def _best_kept_on_stop(self, results: Sequence[SearchResult], workspace: Path) -> Iterator[None]:
        """Writes the best plan of `results`, if there is one, as SO_FAR when what is inside is stopped."""
        try:
            yield
        except StoppedError:
            if results:
                best = stages.winner(results).best
                kept = self._tools.folder.checkpoints / SO_FAR
                materials = self._tools.materials
                stages.save_factorized(materials, kept, start=self._start, workspace=workspace, plan=best.plan)
                self._described("proxy", self._baseline.proxy, {"wer": best.wer})(kept)
            raise

    def _choose(self, workspace: Path, results: Sequence[SearchResult], folder: Path, _: Teller) -> dict[str, Any]:
        return stages.choose(self._tools.materials, results, start=self._start, workspace=workspace)

    def _factorize(self, workspace: Path, plan: CompressionPlan, folder: Path, _: Teller) -> dict[str, Any]:
        materials = self._tools.materials
        model = folder / MODEL
        stages.save_factorized(materials, model, start=self._start, workspace=workspace, plan=plan)
        dev = stages.measure(materials, model, materials.dev, self._baseline.calls_per_s)
        return {"plan": plan.to_json(), "dev": dev}

    def _finetune(self, factorized: Finished, folder: Path, teller: Teller) -> dict[str, Any]:
        def on_epoch(epoch: Epoch) -> None:
            message = f"epoch {epoch.number} of {epoch.of}: loss {epoch.loss:.3f}"
            facts = {"epoch": epoch.number, "of": epoch.of, "loss": epoch.loss}
            teller.tell("epoch", f"epoch/{epoch.number}", message, facts, n_done=epoch.number, n_total=epoch.of)

        settings = self._tools.spec.finetune
        rate = settings.learning_rate
        if rate == "auto":
            rate = learning_rate_for(factorized.result["dev"]["wer"] - self._baseline.dev["wer"])
        stages.finetune(
            self._tools.materials,
            factorized.folder / MODEL,
            folder / MODEL,
            epochs=self._epochs,
            learning_rate=rate,
            settings=settings,
            on_epoch=on_epoch,
        )
        return {"epochs": self._epochs, "learning_rate": rate}

    def _evaluate(self, factorized: Finished, tuned: Finished | None, folder: Path, _: Teller) -> dict[str, Any]:
        """Publishes one of both models, and says whether it passes the gate.

        The factorized model is kept only where fine-tuning lost so much on dev that the gate would refuse it: smaller
        differences are noise, and more training is the better bet.
        """
        materials, baseline = self._tools.materials, self._baseline
        kept, model, dev = "factorized", factorized.folder / MODEL, factorized.result["dev"]
        after, allowed = dev, baseline.dev["wer"] + self._tools.spec.goal.max_wer_increase
        if tuned is not None:
            after = stages.measure(materials, tuned.folder / MODEL, materials.dev, baseline.calls_per_s)
            if after["wer"] <= max(dev["wer"], allowed):
                kept, model, dev = "fine-tuned", tuned.folder / MODEL, after
        self._tools.folder.publish(model, self._checkpoint, self._described("dev", baseline.dev, dev))
        return {
            "after": after,
            "kept": kept,
            "wer": dev["wer"],
            "compression_ratio": baseline.dev["parameters"] / dev["parameters"],
            "passed": dev["wer"] <= allowed,
        }

    def _described(self, on: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Describe:
        return partial(stages.describe, self._tools.materials, on=on, before=before, after=after)


@contextmanager
def kept_on_stop(folder: RunFolder, model: Path | None, describe: Describe = lambda copy: None) -> Iterator[None]:
    """Publishes `model`, if there is one, as SO_FAR when what is inside is stopped."""
    try:
        yield
    except StoppedError:
        if model is not None:
            folder.publish(model, SO_FAR, describe)
        raise


def search_tasks(spec: JobSpec, workspace: str, policies: Policies) -> list[SearchTask]:
    """The searches of one attempt, all with equal evaluations; `policies` are what they go on from."""
    search = spec.search
    return [
        SearchTask(name, seed, search.evaluations, search.reward, workspace, policies.get((name, seed)))
        for name, seed in search.runs(spec.seed)
    ]


def _trial_teller(teller: Teller, tasks: Sequence[SearchTask], baseline: Baseline, ratio: float) -> OnTaskTrial:
    """Tells of every judged plan, and whether it is `ratio` times cheaper than the original."""
    n_total, prices = sum(task.evaluations for task in tasks), baseline.prices
    n_judged, limit = 0, prices.limit(ratio)

    def on_trial(task: SearchTask, trial: Trial, n_done: int) -> None:
        nonlocal n_judged
        n_judged += 1
        smaller = baseline.dev["parameters"] / trial.parameters
        facts = {
            "strategy": task.strategy,
            "seed": task.seed,
            "wer": trial.wer,
            "heard": trial.heard,
            "parameters": trial.parameters,
            "compression_ratio": smaller,
            "within_budget": prices.price(trial.plan) <= limit,
            "plan": trial.plan.to_json(),
        }
        message = f"{task.strategy}, seed {task.seed}, plan {n_done}: {100 * trial.wer:.2f} % WER at {smaller:.2f}x"
        if prices.resource != "parameters":
            message += f", {prices.ratio(trial.plan):.2f}x in {prices.resource}"
        if trial.stopped:
            message += f" (an estimate: it can't win, {100 * trial.heard:.0f} % of the words tell)"
        key = f"{task.strategy}/{task.seed}/{n_done}"
        teller.tell("evaluated", key, message, facts, n_done=n_judged, n_total=n_total)

    return on_trial
