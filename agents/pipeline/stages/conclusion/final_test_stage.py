"""The stage of the final figures: the original and the result on test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.pipeline.folder.run_folder import FINAL
from agents.pipeline.materials import Materials
from agents.pipeline.measuring import describe, measure
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.stage import Stage, StageContext
from agents.pipeline.stages.preparation.baseline_stage import BASELINE
from shrinkml.job import JobSpec
from shrinkml.measure.evaluation import Evaluation, transcripts
from shrinkml.report.record import Sample

N_SAMPLES = 8  # transcripts shown in the report


@dataclass(frozen=True, slots=True)
class FinalFigures:
    """The final figures.

    Attributes:
        baseline: the original on test.
        result: the compressed model on test.
        samples: a few transcripts of both.
    """

    baseline: Evaluation
    result: Evaluation
    samples: Sequence[Sample]


def measure_on_test(materials: Materials, model: Path, calls: Mapping[str, float]) -> FinalFigures:
    """The figures of the original and of the checkpoint `model` on test, and a few transcripts of both."""
    before = materials.transcribed(materials.test_utterances, materials.test)
    few = materials.test.subset(range(min(N_SAMPLES, len(materials.test))))
    heard = before[: len(few)], transcripts(materials.load(model), few)
    return FinalFigures(
        baseline=measure(materials, materials.original, materials.test, calls, heard=before),
        result=measure(materials, model, materials.test, calls),
        samples=[Sample(*texts) for texts in zip(few.texts, *heard, strict=True)],
    )


def _run(context: StageContext) -> FinalFigures:
    materials, final = context.tools.materials, context.tools.folder.checkpoints / FINAL
    tested = measure_on_test(materials, final, context.record(BASELINE).calls_per_s)
    describe(materials, final, on="test", before=tested.baseline, after=tested.result.to_json())
    return tested


def _work(spec: JobSpec, ratio: float, sizes: Sizes) -> Work:
    return Work(transcribed=2 * sizes.test)


TEST = Stage("test", FinalFigures, _run, _work)
