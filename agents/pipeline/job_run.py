"""A job from its description to its report: the stages of the table in order, each durable, a gate after each step.

A run that was killed goes on from its last finished stage; a search that was killed finds what it had judged in the
evaluation cache.
"""

import os
from contextlib import closing
from pathlib import Path

from agents.execution.executor import Executor
from agents.execution.local_executor import LocalExecutor
from agents.pipeline.best_so_far import best_kept_on_stop
from agents.pipeline.folder.hub_revision import local_model
from agents.pipeline.folder.language import with_language
from agents.pipeline.folder.lasting_cache import LastingCache
from agents.pipeline.folder.policies import first_policies, policies_of
from agents.pipeline.folder.run_folder import SO_FAR, opened
from agents.pipeline.materials import Materials
from agents.pipeline.progress.progress_meter import ProgressMeter
from agents.pipeline.schedule import FinishedStep, next_ratio, start_of
from agents.pipeline.stage import RunState, Tools
from agents.pipeline.stage_runner import RunStage, StageRunner, run_plainly
from agents.pipeline.stage_table import STAGES, Stages, after_steps, before_steps, of_step
from agents.pipeline.stages.preparation.prices_stage import prices_of
from agents.pipeline.stages.steps.calibrate_stage import CALIBRATE
from agents.pipeline.stages.steps.choose_stage import CHOOSE
from agents.pipeline.stages.steps.evaluate_stage import EVALUATE
from agents.pipeline.stages.steps.factorize_stage import FACTORIZE
from agents.pipeline.stages.steps.search_stage import SEARCH, read_results
from agents.pipeline.step import Step, StepOutcome
from agents.pipeline.vocabulary.trim_stage import base_of, trimmed_ratio
from agents.search.workspace import read_problem
from shrinkml.devices import find_device
from shrinkml.events import OnEvent, ShouldStop
from shrinkml.job import JobSpec
from shrinkml.report import Report, read_report


def run_job(
    spec: JobSpec,
    folder: Path,
    *,
    on_event: OnEvent = lambda event: None,
    should_stop: ShouldStop = lambda: False,
    run_stage: RunStage = run_plainly,
    materials: Materials | None = None,
    allow_hub: bool = False,
    stages: Stages = STAGES,
    cache: Path | None = None,
) -> Report:
    """Run or resume the job in `folder` and return its report.

    Args:
        spec: the job, its paths absolute.
        folder: of everything that comes of it; see `agents.pipeline.folder.run_folder`. A killed or stopped job goes
            on from there.
        on_event: called with stages, judged plans and epochs. Keys are the same whenever a stage is repeated.
        should_stop: asked often; the job ends within seconds.
        run_stage: called with the name of each stage and what runs it; must return what that returns, or what it
            returned in an earlier process.
        materials: of the same model, data and seed, where several jobs of one process share them.
        allow_hub: a model of the Hugging Face hub may be fetched.
        stages: of the pipeline, in order.
        cache: file of what is known of models and speech from other jobs, and of what this one finds out; none is kept
            if absent.

    Raises:
        StoppedError: stopped; the best model so far lies in checkpoints/, as FINAL or SO_FAR, if there is one.
        ConfigError: another job lies in `folder`, or there is no GPU where the job asks for one, no leave to fetch, or
            no Ray to search with.
        StageError: another process works in `folder`, or a search failed.
        ShrinkError: model, data or goal are at fault; see `agents.pipeline.stages.preparation.validate_stage`.
    """
    with opened(folder, spec) as run_folder, closing(make_executor(spec)) as executor:
        run_folder.withdraw(SO_FAR)
        model = with_language(run_folder, local_model(run_folder, spec.model, allow_hub=allow_hub), spec.language)
        own = Materials(
            model,
            spec.data,
            seed=spec.seed,
            should_stop=should_stop,
            device=spec.device,
            dtype=spec.dtype,
            normaliser=spec.normaliser,
            cache=LastingCache(cache),
        )
        tools = Tools(spec, run_folder, materials or own, executor, should_stop)
        runner = StageRunner(tools, ProgressMeter(spec, stages), on_event=on_event, run_stage=run_stage)
        _run(tools, runner, stages)
        return read_report(run_folder.root / "report.json")


def make_executor(spec: JobSpec) -> Executor:
    """The executor of the job's searches; no process is started yet.

    Raises:
        ConfigError: Ray could not be started or joined.
    """
    if spec.executor == "local":
        return LocalExecutor()
    from agents.execution.ray.ray_executor import RayExecutor  # takes seconds to import
    from agents.execution.ray.ray_reach import check_reach

    address = os.environ.get("RAY_ADDRESS") or None
    check_reach(address)
    on_gpu = find_device(spec.device).type == "cuda"
    return RayExecutor(spec.workers, address=address, on_gpu=on_gpu)


def _run(tools: Tools, runner: StageRunner, stages: Stages) -> None:
    """All stages of a job; those of a step for one ratio after another, until the goal is reached or given up."""
    state = RunState()
    with best_kept_on_stop(tools, state):
        _run_each(tools, runner, before_steps(stages), state)
        while (step := next_step(tools, state)) is not None:
            state.step, state.finished_in_step = step, {}
            _run_each(tools, runner, of_step(stages), state)
            state.outcomes.append(_outcome(tools, state, step))
        state.step = None
        _run_each(tools, runner, after_steps(stages), state)


def _run_each(tools: Tools, runner: StageRunner, stages: Stages, state: RunState) -> None:
    ratio = tools.spec.goal.compression_ratio if state.step is None else state.step.ratio
    for stage in stages:
        if stage.present(tools.spec, ratio):
            runner.run(stage, state)


def next_step(tools: Tools, state: RunState) -> Step | None:
    """The step that follows from those before; None where the goal is reached or given up."""
    ratios, done = tools.spec.step_ratios, [outcome.step for outcome in state.outcomes]
    ratio = next_ratio(ratios, done, reached=trimmed_ratio(tools, state))
    if ratio is None:
        return None
    start, last = start_of(done), state.outcomes[-1] if state.outcomes else None
    return Step(
        ratio=ratio,
        number=1 + sum(step.ratio == ratio for step in done),
        start=base_of(tools, state) if start is None else tools.folder.checkpoints / start.checkpoint,
        ahead=tuple(planned for planned in ratios if planned > ratio),
        policies=first_policies(tools.folder, tools.spec) if last is None else policies_of(last.results),
    )


def _outcome(tools: Tools, state: RunState, step: Step) -> StepOutcome:
    """The outcome of `step`, whose stages are finished."""
    plan, evaluated = state.get(CHOOSE).record.plan, state.get(EVALUATE).record
    finished = FinishedStep(
        ratio=step.ratio,
        reached=prices_of(tools, state).ratio(plan),
        wer=evaluated.wer,
        passed=evaluated.passed,
        checkpoint=step.checkpoint,
    )
    return StepOutcome(
        step=finished,
        problem=read_problem(state.get(CALIBRATE).folder),
        results=read_results(state.get(SEARCH).folder),
        plan=plan,
        finalists=state.get(CHOOSE).record.finalists,
        before=state.get(FACTORIZE).record.dev,
        after=evaluated.after,
        kept=evaluated.kept,
        seconds=sum(done.seconds for done in state.finished_in_step.values()),
    )
