"""A job from its description to its report: stages in order, each durable, with a gate that can send it back.

validate, prices (where something else than parameters counts), baseline; then for every compression ratio on the way
calibrate, search, choose, factorize, finetune, evaluate; at last verify, test, export (where asked for), speed, report.
A run that was killed goes on from its last finished stage; a search that was killed finds what it had judged in the
evaluation cache.

References:
    Mehrotra et al. 2020, Iterative compression of end-to-end ASR model using AutoML, arXiv:2008.02897.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from agents.execution.executor import Executor
from agents.execution.local_executor import LocalExecutor
from agents.pipeline import stages
from agents.pipeline.hub_revision import local_model
from agents.pipeline.language import told_language
from agents.pipeline.materials import Materials
from agents.pipeline.policies import first_policies, policies_of
from agents.pipeline.price_lists import price_list, read_prices, write_prices
from agents.pipeline.progress_meter import ProgressMeter
from agents.pipeline.run_folder import opened
from agents.pipeline.runtime_rows import time_runtimes
from agents.pipeline.schedule import best_of, next_ratio, start_of
from agents.pipeline.stage_runner import RunStage, StageRunner, Teller, run_plainly
from agents.pipeline.step import SO_FAR, Baseline, Outcome, RatioAttempt, Tools, kept_on_stop
from agents.pipeline.summary import summarise
from shrinkml.devices import find_device
from shrinkml.events import OnEvent, ShouldStop
from shrinkml.export.exporter import Exporter
from shrinkml.job import JobSpec
from shrinkml.measure.runtimes import INT8
from shrinkml.plan.prices import PriceList
from shrinkml.report import write_report
from shrinkml.storage.merging import save_merged

FINAL = "final"  # the checkpoint to use
ONNX, ONNX_INT8 = "final-onnx", "final-onnx-int8"  # the same for ONNX Runtime
DENSE = "final-dense"  # the same for transformers alone


def run_job(
    spec: JobSpec,
    folder: Path,
    *,
    on_event: OnEvent = lambda event: None,
    should_stop: ShouldStop = lambda: False,
    run_stage: RunStage = run_plainly,
    materials: Materials | None = None,
    allow_hub: bool = False,
) -> dict[str, Any]:
    """Runs or resumes the job in `folder` and returns its report.

    Args:
        spec: the job, its paths absolute.
        folder: where everything goes; see `agents.pipeline.run_folder`. A killed or stopped job goes on from there.
        on_event: hears of stages, judged plans and epochs. Keys are the same whenever a step is repeated.
        should_stop: asked often; the job ends within seconds.
        run_stage: called with the name of each stage and what runs it; must return what that returns, or what it
            returned in an earlier process.
        materials: of the same model, data and seed, where several jobs of one process share them.
        allow_hub: whether a model of the Hugging Face hub may be fetched.

    Raises:
        StoppedError: stopped; the best model so far lies in checkpoints/, as FINAL or SO_FAR, if there is one.
        ConfigError: another job lies in `folder`, or there is no GPU where the job asks for one, or no leave to fetch.
        StageError: another process works in `folder`, or a search failed.
        ShrinkError: model, data or goal are at fault; see `agents.pipeline.stages.validate`.
    """
    with opened(folder, spec) as run_folder, closing(make_executor(spec)) as executor:
        run_folder.withdraw(SO_FAR)
        model = told_language(run_folder, local_model(run_folder, spec.model, allow_hub=allow_hub), spec.language)
        tools = Tools(
            spec=spec,
            folder=run_folder,
            materials=materials
            or Materials(
                model, spec.data, seed=spec.seed, should_stop=should_stop, device=spec.device, dtype=spec.dtype
            ),
            runner=StageRunner(
                run_folder,
                ProgressMeter(spec, n_searches=len(spec.search.runs(spec.seed))),
                on_event=on_event,
                should_stop=should_stop,
                run_stage=run_stage,
            ),
            executor=executor,
            should_stop=should_stop,
        )
        return _run(tools)


def make_executor(spec: JobSpec) -> Executor:
    """What runs the searches of the job; no process is started yet."""
    if spec.executor == "local":
        return LocalExecutor()
    from agents.execution.ray.ray_executor import RayExecutor  # takes seconds to import

    on_gpu = find_device(spec.device).type == "cuda"
    return RayExecutor(spec.workers, address=os.environ.get("RAY_ADDRESS"), on_gpu=on_gpu)


def _run(tools: Tools) -> dict[str, Any]:
    """All stages of a job; returns the report."""
    spec, runner, materials = tools.spec, tools.runner, tools.materials
    runner.run("validate", lambda *_: stages.validate(materials, spec), ahead=spec.stage_ratios)
    prices = _prices(tools)
    measured = runner.run("baseline", lambda *_: stages.baseline(materials), ahead=spec.stage_ratios).result
    baseline = Baseline(measured["dev"], measured["proxy"], measured["calls_per_s"], prices)
    outcomes = _compress(tools, baseline)
    final, best = tools.folder.checkpoints / FINAL, best_of([o.attempt for o in outcomes]).checkpoint
    tools.folder.publish(tools.folder.checkpoints / best, FINAL)
    others = [o.attempt.checkpoint for o in outcomes if o.attempt.checkpoint != best]
    runner.run("verify", lambda *_: stages.verify(materials, final))
    tested = runner.run("test", lambda *_: stages.measure_on_test(materials, final, baseline.calls_per_s)).result
    stages.describe(materials, final, on="test", before=tested["baseline"], after=tested["result"])
    exported = runner.run("export", lambda *_: _export(tools, final)).result if spec.export else {}
    exports = exported.get("exports", [])
    speed = runner.run("speed", partial(_time, tools, exports, others)).result

    def report() -> dict[str, Any]:
        value = summarise(
            spec,
            outcomes,
            baseline=baseline,
            tested=tested,
            speedup=speed["speedup"],
            runtimes=speed["runtimes"],
            exports=exports,
            torch_int8=exported.get("torch_int8"),
            checkpoints=tools.folder.checkpoints,
            seconds=runner.seconds,
        )
        write_report(value, tools.folder.root)
        return {key: value[key] for key in ("goal_met", "compression_ratio", "size_ratio")}

    runner.run("report", lambda *_: report())
    written: dict[str, Any] = json.loads((tools.folder.root / "report.json").read_text())
    return written


def _prices(tools: Tools) -> PriceList:
    """What plans cost in what the goal counts: parameters are known, the rest is measured in a stage."""
    goal, materials = tools.spec.goal, tools.materials
    if goal.resource == "parameters":
        return price_list(materials, goal.resource)

    def write(folder: Path, _: Teller) -> dict[str, Any]:
        return write_prices(materials, goal.resource, folder, ratio=goal.compression_ratio)

    return read_prices(tools.runner.run("prices", write, ahead=tools.spec.stage_ratios).folder)


def _export(tools: Tools, final: Path) -> dict[str, Any]:
    """The checkpoint `final` in the other forms that the job asks for, beside it, and in int8 as torch runs it."""
    spec, folder = tools.spec, tools.folder.checkpoints
    if "transformers" in spec.export:
        save_merged(final, folder / DENSE)
    if "onnx" not in spec.export:
        return {}
    exporter = Exporter(final)
    rows = [stages.export_onnx(tools.materials, exporter, folder / ONNX)]
    if spec.quantize == "int8":
        rows.append(stages.export_onnx(tools.materials, exporter, folder / ONNX_INT8, int8=True))
        return {"exports": rows, "torch_int8": stages.hear_in_int8(tools.materials, final)}
    return {"exports": rows}


def _time(
    tools: Tools, exports: Sequence[Mapping[str, Any]], others: Sequence[str], scratch: Path, teller: Teller
) -> dict[str, Any]:
    """How fast the final checkpoint, its `exports` and the checkpoints `others` are."""
    checkpoints = tools.folder.checkpoints
    models = {"compressed": checkpoints / FINAL, **{name: checkpoints / name for name in others}}
    exported = {INT8 if row["int8"] else "float32": checkpoints / row["name"] for row in exports}

    def on_timed(name: str, n_done: int) -> None:
        message = f"{FINAL if name == 'compressed' else name} timed beside the original"
        teller.tell("timed", f"timed/{name}", message, {"model": name}, n_done=n_done, n_total=len(models))

    return {
        "speedup": stages.time_speed(tools.materials, checkpoints / FINAL),
        "runtimes": time_runtimes(tools.materials, models, exported, scratch, on_timed=on_timed),
    }


def _compress(tools: Tools, baseline: Baseline) -> list[Outcome]:
    """Goes for one ratio after another until the goal is reached or given up."""
    ratios = tools.spec.stage_ratios
    outcomes: list[Outcome] = []
    while (ratio := next_ratio(ratios, [o.attempt for o in outcomes])) is not None:
        start = start_of([o.attempt for o in outcomes])
        n_same = sum(o.attempt.ratio == ratio for o in outcomes)
        attempt = RatioAttempt(
            tools,
            ratio,
            baseline=baseline,
            start=tools.materials.original if start is None else tools.folder.checkpoints / start.checkpoint,
            checkpoint=f"stage-{ratio:g}x" + (f"-{n_same + 1}" if n_same else ""),
            ahead=tuple(planned for planned in ratios if planned > ratio),
            policies=policies_of(outcomes[-1].results) if outcomes else first_policies(tools.folder, tools.spec),
        )
        with kept_on_stop(tools.folder, None if start is None else tools.folder.checkpoints / start.checkpoint):
            outcomes.append(attempt.run())
    return outcomes
