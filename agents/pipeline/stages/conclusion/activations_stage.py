"""The stage that rounds the activations of the best model, and trains it on where rounding alone loses.

References:
    Bie et al. 2019, arXiv:1911.03604, and Prato et al. 2020, arXiv:1910.10485 (the rounding, and training aware of it).
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from torch import nn

from agents.pipeline.materials import Materials
from agents.pipeline.measuring import measure
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.schedule import best_of
from agents.pipeline.stage import Stage, StageContext
from agents.pipeline.stages.preparation.baseline_stage import BASELINE
from agents.pipeline.stages.steps.evaluate_stage import keeps_tuned
from agents.pipeline.stages.steps.factorize_stage import MODEL
from agents.pipeline.stages.steps.finetune_stage import finetune, told_by
from agents.pipeline.vocabulary.trim_stage import base_of
from agents.pipeline.windows.window_stage import WINDOWS, is_harmless
from agents.search.decompose_layers import decomposed, feed
from agents.search.interruptible import Interruptible
from agents.search.workspace import StoredDecompositions, write_factors
from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.full_quantization import fully_quantized
from shrinkml.job import JobSpec
from shrinkml.models.protocol import AsrModel

OBSERVED, TUNED = "observed", "tuned"  # checkpoints in the stage's folder, beside the one that is taken


@dataclass(frozen=True, slots=True)
class RoundedModel:
    """The model with rounded activations; it lies in the stage's folder.

    Attributes:
        wer: of the model before, on dev.
        observed_wer: with ranges that were observed on calibration speech, and nothing trained.
        tuned_wer: after training; None where that was not needed, or there is nothing to learn from.
        trained: True where the trained one was taken.
    """

    wer: float
    observed_wer: float
    tuned_wer: float | None = None
    trained: bool = False


def save_rounded(materials: Materials, start: Path, folder: Path, *, spec: JobSpec) -> Path:
    """Write the checkpoint `start` with rounded activations to `folder`, as OBSERVED; returns where it lies.

    Raises:
        PlanError: its activations cannot be rounded.
        CalibrationError: calibration does not reach them.
    """
    assert spec.activations is not None, "the stage is there where the job asks for it"
    model, speech = Interruptible(materials.opened(start), materials.should_stop), materials.calibration
    left, workspace = materials.left_by(spec.layers), folder / "factors"
    workspace.mkdir(exist_ok=True)
    write_factors(workspace, decomposed(model, speech, spec.factorizer, folder, left=left))

    def run(module: nn.Module) -> None:
        feed(Interruptible(cast(AsrModel, module), materials.should_stop), speech)

    asked = ActivationSpec(spec.activations, spec.activation_scales)
    small = fully_quantized(model.module, asked, StoredDecompositions(workspace), run)
    materials.save(cast(AsrModel, small), folder / OBSERVED)
    shutil.rmtree(workspace)
    return folder / OBSERVED


def _run(context: StageContext) -> RoundedModel:
    tools, materials, folder = context.tools, context.tools.materials, context.folder
    calls = context.record(BASELINE).calls_per_s
    wer_of = partial(_wer_on_dev, context, calls)
    start, before = _unrounded(context, wer_of)
    observed = save_rounded(materials, start, folder, spec=tools.spec)
    observed_wer, epochs = wer_of(observed), tools.spec.epochs_at(tools.spec.goal.compression_ratio)
    if is_harmless(observed_wer, before) or not epochs:
        _take_(observed)
        return RoundedModel(before, observed_wer)
    finetune(
        materials,
        observed,
        folder / TUNED,
        epochs=epochs,
        lost=observed_wer - before,
        settings=tools.spec.finetune,
        listeners=told_by(context.teller),
        teacher=base_of(tools, context.state),
    )
    tuned_wer = wer_of(folder / TUNED)
    trained = keeps_tuned(observed_wer, tuned_wer, allowed=before)
    _take_(folder / TUNED if trained else observed)
    return RoundedModel(before, observed_wer, tuned_wer, trained)


def _take_(made: Path) -> None:
    """Calls the checkpoint `made` by the name of the stage's model; a killed run may have left one."""
    target = made.with_name(MODEL)
    shutil.rmtree(target, ignore_errors=True)
    made.rename(target)


def _unrounded(context: StageContext, wer_of: Callable[[Path], float]) -> tuple[Path, float]:
    """The best model so far, and its WER on dev."""
    shortened = context.folder_of(WINDOWS) / MODEL
    if shortened.is_dir():
        return shortened, wer_of(shortened)
    best = best_of([outcome.step for outcome in context.outcomes])
    return context.tools.folder.checkpoints / best.checkpoint, best.wer


def _wer_on_dev(context: StageContext, calls: Mapping[str, float], model: Path) -> float:
    materials = context.tools.materials
    wer = measure(materials, model, materials.dev, calls).wer
    message = f"WER {wer:.2%} on dev: {model.name}"
    context.teller.tell("rounded", f"rounded/{model.name}", message, {"wer": wer}, n_done=0, n_total=1)
    return wer


def _work(spec: JobSpec, ratio: float, sizes: Sizes) -> Work:
    return Work(transcribed=2 * sizes.dev, forced=sizes.proxy, trained=sizes.train * spec.epochs_at(ratio))


def _done(record: RoundedModel, spec: JobSpec, sizes: Sizes) -> Work:
    if record.tuned_wer is None:
        return Work(transcribed=sizes.dev, forced=sizes.proxy)
    return _work(spec, spec.goal.compression_ratio, sizes)


def _is_asked_for(spec: JobSpec, _: float) -> bool:
    return spec.activations is not None


ACTIVATIONS = Stage("activations", RoundedModel, _run, _work, present=_is_asked_for, done=_done)
