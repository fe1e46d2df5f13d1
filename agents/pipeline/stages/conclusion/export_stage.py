"""The stage that writes the final model in the other forms that the job asks for, and says how like they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.pipeline.exports.export_table import EXPORTS
from agents.pipeline.folder.run_folder import FINAL
from agents.pipeline.materials import Materials
from agents.pipeline.measuring import score_on_test
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.stage import Stage, StageContext
from agents.search.interruptible import Interruptible
from shrinkml.errors import PrecisionError
from shrinkml.job import JobSpec
from shrinkml.measure.evaluation import transcripts
from shrinkml.report.record import ExportRow, Int8Row, PlainInt8Row
from shrinkml.storage import checkpoint
from shrinkml.tables import look_up


@dataclass(frozen=True, slots=True)
class Exported:
    """The exports of the final model for ONNX Runtime.

    Attributes:
        exports: a row of each.
        torch_int8: the model in int8 in torch, where the job asks for that and any layer gains by it.
        plain_int8: the original in int8 for ONNX Runtime, where the job asks for that.
    """

    exports: Sequence[ExportRow] = ()
    torch_int8: Int8Row | None = None
    plain_int8: PlainInt8Row | None = None


def hear_in_int8(materials: Materials, model: Path) -> Int8Row | None:
    """The WER of the checkpoint `model` on test where torch multiplies in int8, on the CPU; None if it would not."""
    try:
        small = Interruptible(checkpoint.load(model, int8=True), materials.should_stop)
    except PrecisionError:
        return None
    found = score_on_test(materials, transcripts(small, materials.test))
    return Int8Row(found.wer, found.wer_ci95)


def _run(context: StageContext) -> Exported:
    spec, materials, checkpoints = context.tools.spec, context.tools.materials, context.tools.folder.checkpoints
    exports = [look_up(EXPORTS, name, kind="export") for name in dict.fromkeys(spec.export)]
    rows = [row for export in exports for row in export.write(materials, spec, checkpoints)]
    if spec.quantize != "int8":
        return Exported(rows)
    from agents.pipeline.exports.plain_int8 import write_plain_int8  # it loads ONNX

    in_int8 = [row for row in rows if row.int8]
    plain = write_plain_int8(materials, checkpoints, goal=spec.goal, of_result=in_int8)
    return Exported(rows, hear_in_int8(materials, checkpoints / FINAL), plain)


def _is_asked_for(spec: JobSpec, _: float) -> bool:
    return bool(spec.export)


def _work(spec: JobSpec, ratio: float, sizes: Sizes) -> Work:
    """Test is heard by each export, and in int8 by the original and in torch too."""
    return Work(transcribed=sizes.test * (4 if spec.quantize == "int8" else 1), seconds=15.0)


EXPORT = Stage("export", Exported, _run, _work, present=_is_asked_for)
