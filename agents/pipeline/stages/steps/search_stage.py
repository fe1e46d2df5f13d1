"""The stage of the searches: the job's strategy with each seed, and every baseline beside it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.execution.executor import OnTaskTrial, SearchTask
from agents.pipeline.folder.policies import Policies, keep_policy
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.stage import Stage, StageContext, Teller
from agents.pipeline.stages.preparation.baseline_stage import BASELINE
from agents.pipeline.stages.preparation.prices_stage import prices_of
from agents.pipeline.stages.steps.calibrate_stage import CALIBRATE
from agents.search.search_result import SearchResult, Trial
from shrinkml.errors import StoppedError
from shrinkml.job import JobSpec, SearchSpec
from shrinkml.plan.prices import PriceList

RESULTS = "results.json"  # all SearchResults


@dataclass(frozen=True, slots=True)
class Searched:
    """The searches, done; their results lie in the stage's folder.

    Attributes:
        evaluations: plans that they judged.
    """

    evaluations: int


def search_tasks(search: SearchSpec, seed: int, workspace: str, policies: Policies) -> list[SearchTask]:
    """The searches of one step, all with equal evaluations; `policies` are what they go on from."""
    return [
        SearchTask(name, number, search.evaluations, search.reward, workspace, policies.get((name, number)))
        for name, number in search.runs(seed)
    ]


def read_results(folder: Path) -> list[SearchResult]:
    """The results of the searches whose stage lies in `folder`; none where they had not begun to come."""
    path = folder / RESULTS
    return [SearchResult.from_json(value) for value in json.loads(path.read_text())] if path.exists() else []


def _run(context: StageContext) -> Searched:
    tools, step = context.tools, context.step
    tasks = search_tasks(tools.spec.search, tools.spec.seed, str(context.folder_of(CALIBRATE)), step.policies)
    parameters = context.record(BASELINE).dev.parameters
    tell = trial_teller(context.teller, tasks, prices_of(tools, context.state), ratio=step.ratio, parameters=parameters)
    results = tools.executor.run(tasks, on_trial=tell, should_stop=tools.should_stop)
    # Also of a stopped search: the best plan of it is kept.
    (context.folder / RESULTS).write_text(json.dumps([result.to_json() for result in results]))
    if tools.should_stop():
        raise StoppedError(f"stopped while searching for {step.ratio:g}x")
    keep_policy(tools.folder, tools.spec.search.strategy, results)
    return Searched(sum(len(result.trials) for result in results))


def trial_teller(
    teller: Teller, tasks: Sequence[SearchTask], prices: PriceList, *, ratio: float, parameters: int
) -> OnTaskTrial:
    """A teller of every judged plan, and of whether it is `ratio` times cheaper than the original.

    Args:
        teller: of the stage.
        tasks: all searches.
        prices: of plans.
        ratio: that plans must reach.
        parameters: of the original.
    """
    n_total, n_judged, limit = sum(task.evaluations for task in tasks), 0, prices.limit(ratio)

    def on_trial(task: SearchTask, trial: Trial, n_done: int) -> None:
        nonlocal n_judged
        n_judged += 1
        smaller = parameters / trial.parameters
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


def _evaluations(spec: JobSpec) -> int:
    return len(spec.search.runs(spec.seed)) * spec.search.evaluations


def _work(spec: JobSpec, _: float, sizes: Sizes) -> Work:
    return _passes(_evaluations(spec), spec, sizes)


def _done(searched: Searched, spec: JobSpec, sizes: Sizes) -> Work:
    return _passes(searched.evaluations, spec, sizes)


def _passes(n_plans: int, spec: JobSpec, sizes: Sizes) -> Work:
    """The utterances heard one after another while so many plans are judged."""
    side_by_side = spec.workers if spec.executor == "ray" else 1
    return Work(transcribed=n_plans * sizes.proxy / side_by_side)


def _evaluated(searched: Searched) -> int:
    return searched.evaluations


SEARCH = Stage(
    "search",
    Searched,
    _run,
    _work,
    per_step=True,
    done=_done,
    evaluations=_evaluations,
    evaluated=_evaluated,
)
