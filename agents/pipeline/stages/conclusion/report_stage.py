"""The stage that writes the report."""

from dataclasses import dataclass

from agents.pipeline.stage import Stage, StageContext, takes
from agents.pipeline.stages.conclusion.activations_stage import ACTIVATIONS
from agents.pipeline.stages.conclusion.export_stage import EXPORT, Exported
from agents.pipeline.stages.conclusion.final_test_stage import TEST
from agents.pipeline.stages.conclusion.speed_stage import SPEED
from agents.pipeline.stages.preparation.baseline_stage import BASELINE
from agents.pipeline.stages.preparation.validate_stage import VALIDATE
from agents.pipeline.summary import summarise
from agents.pipeline.vocabulary.trim_stage import TRIM
from agents.pipeline.windows.window_stage import WINDOWS
from shrinkml.report import write_report


@dataclass(frozen=True, slots=True)
class Reported:
    """The report in three figures.

    Attributes:
        goal_met: True where nothing of it was missed.
        compression_ratio: original / compressed parameters.
        size_ratio: original / compressed bytes.
    """

    goal_met: bool
    compression_ratio: float
    size_ratio: float


def _run(context: StageContext) -> Reported:
    tools = context.tools
    report = summarise(
        tools.spec,
        context.outcomes,
        baseline=context.record(BASELINE),
        tested=context.record(TEST),
        timed=context.record(SPEED),
        exported=context.find(EXPORT) or Exported(),
        trimmed=context.find(TRIM),
        windowed=context.find(WINDOWS),
        rounded=context.find(ACTIVATIONS),
        untranscribed=context.record(VALIDATE).untranscribed,
        checkpoints=tools.folder.checkpoints,
        seconds=context.state.seconds,
    )
    write_report(report, tools.folder.root)
    return Reported(report.goal_met, report.compression_ratio, report.size_ratio)


REPORT = Stage("report", Reported, _run, takes(2.0))
