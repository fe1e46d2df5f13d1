"""The original in plain int8 for ONNX Runtime: the rival that costs its user nothing, handed over where it wins."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from agents.pipeline.exports.onnx_export import heard_on_test
from agents.pipeline.materials import Materials
from agents.pipeline.measuring import score_on_test
from shrinkml.export.exporter import Exporter
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.job import Goal
from shrinkml.report.record import ExportRow, PlainInt8Row
from shrinkml.storage import checkpoint

PLAIN_INT8 = "original-onnx-int8"  # the checkpoint, where it is handed over


def write_plain_int8(
    materials: Materials, checkpoints: Path, *, goal: Goal, of_result: Sequence[ExportRow]
) -> PlainInt8Row:
    """Write the original in int8 to `checkpoints`, measure it, and keep it only where nothing better was made.

    Args:
        materials: the original and the speech.
        checkpoints: of the job.
        goal: of the job; its ratio counts bytes here.
        of_result: the exports of the result in int8.

    Raises:
        ExportError: it cannot be exported.
    """
    folder, test = checkpoints / PLAIN_INT8, materials.test_utterances
    exporter = Exporter(materials.original)
    exporter.write(folder, int8=True, speech=materials.dev_utterances, should_stop=materials.should_stop)
    found = score_on_test(materials, heard_on_test(materials, OnnxRecogniser(folder)))
    original = score_on_test(materials, materials.transcribed(test, materials.test))
    n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    row = PlainInt8Row(
        bytes=n_bytes,
        wer=found.wer,
        wer_ci95=found.wer_ci95,
        meets_goal=checkpoint.inspect(materials.original).stored_bytes / n_bytes >= goal.compression_ratio
        and found.wer <= original.wer + goal.max_wer_increase,
        beats_result=any(n_bytes <= other.bytes and found.wer <= other.wer for other in of_result),
    )
    if not row.handed_over:
        shutil.rmtree(folder)
    return row
