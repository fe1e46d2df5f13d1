"""The stage at the end of a step: measures the fine-tuned model, keeps it or the factorized one, and asks the gate."""

from dataclasses import dataclass
from functools import partial

from agents.pipeline.measuring import describe, measure
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.stage import Stage, StageContext
from agents.pipeline.stages.preparation.baseline_stage import BASELINE
from agents.pipeline.stages.steps.factorize_stage import FACTORIZE, MODEL
from agents.pipeline.stages.steps.finetune_stage import FINETUNE
from shrinkml.job import JobSpec
from shrinkml.measure.evaluation import Evaluation

FINE_TUNED, FACTORIZED = "fine-tuned", "factorized"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The model that came of a step; it lies in checkpoints/.

    Attributes:
        after: the fine-tuned model on dev; the factorized one where there is no other.
        kept: FINE_TUNED or FACTORIZED.
        wer: of the one kept, on dev.
        compression_ratio: original / compressed parameters.
        passed: True where `wer` is within the goal.
    """

    after: Evaluation
    kept: str
    wer: float
    compression_ratio: float
    passed: bool


def keeps_tuned(before_wer: float, after_wer: float, *, allowed: float) -> bool:
    """True unless fine-tuning lost so much on dev that the gate would refuse the model.

    Smaller differences are noise, and more training is the better bet.

    Args:
        before_wer: of the factorized model.
        after_wer: of the fine-tuned one.
        allowed: WER that passes the gate.
    """
    return after_wer <= max(before_wer, allowed)


def _run(context: StageContext) -> Evaluated:
    tools, original, factorized = context.tools, context.record(BASELINE), context.record(FACTORIZE)
    kept, model, dev = FACTORIZED, context.folder_of(FACTORIZE) / MODEL, factorized.dev
    after, allowed = dev, original.dev.wer + tools.spec.goal.max_wer_increase
    if context.find(FINETUNE) is not None:
        tuned = context.folder_of(FINETUNE) / MODEL
        after = measure(tools.materials, tuned, tools.materials.dev, original.calls_per_s)
        if keeps_tuned(dev.wer, after.wer, allowed=allowed):
            kept, model, dev = FINE_TUNED, tuned, after
    card = partial(describe, tools.materials, on="dev", before=original.dev, after=dev.to_json())
    tools.folder.publish(model, context.step.checkpoint, card)
    return Evaluated(
        after=after,
        kept=kept,
        wer=dev.wer,
        compression_ratio=original.dev.parameters / dev.parameters,
        passed=dev.wer <= allowed,
    )


def _work(spec: JobSpec, ratio: float, sizes: Sizes) -> Work:
    return Work(transcribed=sizes.dev)


EVALUATE = Stage("evaluate", Evaluated, _run, _work, per_step=True)
