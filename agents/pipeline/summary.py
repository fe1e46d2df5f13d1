"""The report of a finished job, put together from the results of its stages."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from agents.pipeline.folder.run_folder import FINAL
from agents.pipeline.menu_rows import menu_rows
from agents.pipeline.schedule import best_of
from agents.pipeline.stages.conclusion.activations_stage import RoundedModel
from agents.pipeline.stages.conclusion.export_stage import Exported
from agents.pipeline.stages.conclusion.final_test_stage import FinalFigures
from agents.pipeline.stages.conclusion.speed_stage import Timed
from agents.pipeline.stages.preparation.baseline_stage import Baseline
from agents.pipeline.step import StepOutcome
from agents.pipeline.vocabulary.trim_stage import Trimmed
from agents.pipeline.windows.window_stage import Windowed
from agents.search.search_result import SearchResult
from shrinkml.compression.dropping.drop import dropped_in, without_dropped
from shrinkml.compression.sites import model_cost
from shrinkml.job import JobSpec
from shrinkml.measure.evaluation import Evaluation
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.report.record import (
    ActivationsRow,
    CheckpointRow,
    GoalRow,
    LayerRow,
    LeverRow,
    MissedBy,
    Report,
    SetRow,
    Sets,
    TailRow,
    VocabularyRow,
    WindowRow,
)
from shrinkml.report.search_rows import ComparisonRow, StepRow, TrialRow
from shrinkml.storage import checkpoint
from shrinkml.storage.compression_record import installed, layers_of
from shrinkml.storage.model_folder import CONFIG, digest_of

PACKAGES = (
    "shrinkml", "torch", "transformers", "onnxruntime", "numpy", "stable_baselines3", "sb3_contrib", "gymnasium", "ray",
    "jiwer",
)  # fmt: skip

BESIDE_RANKS = {  # other levers, in the order in which rows tell of them -> fields of a choice that they set
    "units": ("outputs", "inputs"),
    "bits": ("bits",),
    "sparsity": ("sparsity",),
}


def summarise(
    spec: JobSpec,
    outcomes: Sequence[StepOutcome],
    *,
    baseline: Baseline,
    tested: FinalFigures,
    timed: Timed,
    exported: Exported,
    trimmed: Trimmed | None = None,
    windowed: Windowed | None = None,
    rounded: RoundedModel | None = None,
    untranscribed: Sequence[str] = (),
    checkpoints: Path,
    seconds: float,
) -> Report:
    """The findings of a job.

    Args:
        spec: the job.
        outcomes: of all its steps, in order.
        baseline: the original on dev and proxy set.
        tested: both models on test.
        timed: their speed.
        exported: other forms of the result.
        trimmed: the vocabulary, where the job trims it.
        windowed: the window that the result hears.
        rounded: the result's activations, where the job rounds them.
        untranscribed: splits without transcripts.
        checkpoints: folder of what can be downloaded.
        seconds: that the whole job took.
    """
    before, after = tested.baseline, tested.result
    missed = missed_by(spec, outcomes, baseline=baseline, tested=tested, timed=timed)
    last = outcomes[-1]
    return Report(
        job=spec.model_dump(mode="json"),
        goal=GoalRow(spec.goal.compression_ratio, spec.goal.max_wer_increase, spec.goal.resource),
        goal_met=missed.compression_ratio == 0 and missed.wer == 0,
        missed_by=missed,
        baseline=before,
        result=after,
        sets=Sets(_set_row(baseline.dev), _set_row(baseline.proxy)),
        compression_ratio=before.parameters / after.parameters,
        size_ratio=before.bytes / after.bytes,
        speedup=timed.speedup,
        runtimes=tuple(timed.runtimes),
        steps=tuple(_step_row(number, outcome, before.parameters) for number, outcome in enumerate(outcomes, 1)),
        comparison=tuple(_comparison_row(result, before.parameters) for result in last.results),
        menus=menu_rows(last.problem, last.plan, last.results),
        layers=_layer_rows(checkpoints / FINAL),
        trials=_trial_rows(outcomes),
        exports=tuple(exported.exports),
        torch_int8=exported.torch_int8,
        plain_int8=exported.plain_int8,
        vocabulary=_vocabulary_row(trimmed),
        levers=lever_rows(checkpoints / FINAL),
        dropped=tuple(dropped_in(checkpoint.inspect(checkpoints / FINAL).plan)),
        window=_window_row(windowed),
        activations=_activations_row(spec, rounded),
        untranscribed=tuple(untranscribed),
        checkpoints=tuple(_checkpoint_row(path) for path in sorted(checkpoints.iterdir())),
        samples=tuple(tested.samples),
        seconds=seconds,
        versions={"python": platform.python_version(), **installed(PACKAGES)},
    )


def missed_by(
    spec: JobSpec,
    outcomes: Sequence[StepOutcome],
    *,
    baseline: Baseline,
    tested: FinalFigures,
    timed: Timed,
) -> MissedBy:
    """The distance of the result from the goal; a ratio of time is the one measured in the end."""
    goal = spec.goal
    foreseen = best_of([outcome.step for outcome in outcomes]).reached
    reached = timed.speedup.batch1 if goal.resource == "latency" else foreseen
    at_goal = [outcome.step.wer for outcome in outcomes if outcome.step.ratio == goal.compression_ratio]
    allowed = tested.baseline.wer + goal.max_wer_increase
    return MissedBy(
        compression_ratio=max(0.0, goal.compression_ratio - reached),
        wer=max(0.0, tested.result.wer - allowed),
        wer_at_goal_ratio=max(0.0, min(at_goal) - baseline.dev.wer - goal.max_wer_increase),
    )


def _set_row(evaluation: Evaluation) -> SetRow:
    return SetRow(evaluation.n_utterances, evaluation.n_words, baseline_wer=evaluation.wer)


def _vocabulary_row(trimmed: Trimmed | None) -> VocabularyRow | None:
    if trimmed is None or trimmed.dev is None:
        return None
    return VocabularyRow(trimmed.original, trimmed.kept, trimmed.dev.wer)


def _window_row(windowed: Windowed | None) -> WindowRow | None:
    if windowed is None or windowed.whole_s is None:
        return None
    tried = tuple(TailRow(trial.tail_s, trial.wer) for trial in windowed.trials)
    return WindowRow(windowed.whole_s, windowed.tail_s, windowed.whole_wer, tried)


def _activations_row(spec: JobSpec, rounded: RoundedModel | None) -> ActivationsRow | None:
    if rounded is None or spec.activations is None:
        return None
    return ActivationsRow(bits=spec.activations, scales=spec.activation_scales, **asdict(rounded))


def _step_row(number: int, outcome: StepOutcome, original_parameters: int) -> StepRow:
    return StepRow(
        step=number,
        target_ratio=outcome.step.ratio,
        reached_ratio=outcome.step.reached,
        compression_ratio=original_parameters / outcome.after.parameters,
        parameters=outcome.after.parameters,
        strategy=outcome.finalists[0].strategy,
        finalists=tuple(outcome.finalists),
        evaluations=sum(len(result.trials) for result in outcome.results),
        wer_before=outcome.before.wer,
        wer_after=outcome.after.wer,
        kept=outcome.kept,
        accepted=outcome.step.passed,
        seconds=outcome.seconds,
    )


def _comparison_row(result: SearchResult, original_parameters: int) -> ComparisonRow:
    return ComparisonRow(
        strategy=result.strategy,
        seed=result.seed,
        evaluations=len(result.trials),
        compression_ratio=original_parameters / result.best.parameters,
        wer=result.best.wer,
    )


def _layer_rows(model: Path) -> tuple[LayerRow, ...]:
    return tuple(
        LayerRow(layer.name, layer.shape, layer.rank, layer.break_even_rank, layer.bits, layer.sparsity, layer.units)
        for layer in layers_of(checkpoint.load(model))
    )


def lever_rows(model: Path) -> tuple[LeverRow, ...]:
    """The bytes that dropped modules leave of a checkpoint, then its ranks, then each other lever.

    Nothing where ranks are all.
    """
    found = checkpoint.inspect(model)
    pulled = [lever for lever in BESIDE_RANKS if any(_is_pulled(lever, choice) for _, choice in found.plan)]
    dropped = dropped_in(found.plan)
    if not pulled and not dropped:
        return ()
    cost = model_cost(checkpoint.load(model).module, bits=8 * checkpoint.DTYPES[found.dtype].itemsize)
    held = without_dropped(found.plan)

    def bytes_with(levers: Sequence[str]) -> int:
        others = (field for lever in BESIDE_RANKS if lever not in levers for field in BESIDE_RANKS[lever])
        left: dict[str, Any] = {field: getattr(DENSE, field) for field in others}
        plan = CompressionPlan({**{name: replace(choice, **left) for name, choice in held}, **dropped})
        return cost.cost(plan).bytes

    rows = (LeverRow(name, bytes_with(pulled[: n + 1])) for n, name in enumerate(pulled))
    first = [LeverRow("drop", cost.cost(CompressionPlan(dropped)).bytes)] if dropped else []
    ranks = [LeverRow("rank", bytes_with(()))] if pulled or held.ranks else []
    return *first, *ranks, *rows


def _is_pulled(lever: str, choice: Choice) -> bool:
    return any(getattr(choice, field) != getattr(DENSE, field) for field in BESIDE_RANKS[lever])


def _trial_rows(outcomes: Sequence[StepOutcome]) -> tuple[TrialRow, ...]:
    return tuple(
        TrialRow(
            step=number,
            strategy=result.strategy,
            seed=result.seed,
            wer=trial.wer,
            parameters=trial.parameters,
            within_budget=outcome.problem.admits(trial.plan),
            heard=trial.heard,
        )
        for number, outcome in enumerate(outcomes, 1)
        for result in outcome.results
        for trial in result.trials
    )


def _checkpoint_row(folder: Path) -> CheckpointRow:
    files = sorted(folder.iterdir())
    is_model = (folder / CONFIG).is_file()  # exports are called by all of their files
    digest = checkpoint.inspect(folder).digest if is_model else digest_of(files)
    return CheckpointRow(folder.name, digest, bytes=sum(path.stat().st_size for path in files))
