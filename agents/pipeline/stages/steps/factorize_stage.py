"""The stage that factorizes by the plan that was chosen."""

from dataclasses import dataclass
from pathlib import Path

from agents.pipeline.folder.stage_results import Plan
from agents.pipeline.materials import Materials
from agents.pipeline.measuring import measure
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.stage import Stage, StageContext
from agents.pipeline.stages.preparation.baseline_stage import BASELINE
from agents.pipeline.stages.steps.calibrate_stage import CALIBRATE
from agents.pipeline.stages.steps.choose_stage import CHOOSE
from agents.search.model_evaluator import shrunk
from agents.search.workspace import StoredDecompositions
from shrinkml.job import JobSpec
from shrinkml.measure.evaluation import Evaluation
from shrinkml.plan.compression_plan import CompressionPlan

MODEL = "model"  # the checkpoint in the folder of this stage, and of the next


@dataclass(frozen=True, slots=True)
class Factorized:
    """The factorized model; it lies in the stage's folder.

    Attributes:
        plan: of it.
        dev: its figures on dev.
    """

    plan: Plan
    dev: Evaluation


def save_factorized(materials: Materials, target: Path, *, start: Path, workspace: Path, plan: CompressionPlan) -> None:
    """Write the checkpoint `start`, factorized by `plan` with the factors of `workspace`, to `target`."""
    model = shrunk(materials.opened(start), plan, StoredDecompositions(workspace))
    materials.save(model, target)


def _run(context: StageContext) -> Factorized:
    materials, model, plan = context.tools.materials, context.folder / MODEL, context.record(CHOOSE).plan
    workspace = context.folder_of(CALIBRATE)
    save_factorized(materials, model, start=context.step.start, workspace=workspace, plan=plan)
    return Factorized(plan, measure(materials, model, materials.dev, context.record(BASELINE).calls_per_s))


def _work(spec: JobSpec, ratio: float, sizes: Sizes) -> Work:
    return Work(transcribed=sizes.dev)


FACTORIZE = Stage("factorize", Factorized, _run, _work, per_step=True)
