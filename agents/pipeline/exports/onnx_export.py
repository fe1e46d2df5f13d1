"""The export for ONNX Runtime, measured: how like the checkpoint it is, and how well it hears."""

from dataclasses import asdict
from pathlib import Path

from agents.pipeline.folder.run_folder import FINAL
from agents.pipeline.materials import Materials
from agents.pipeline.measuring import score_on_test
from agents.search.interruptible import Interruptible
from shrinkml.errors import ExportError
from shrinkml.export import exported_transcripts
from shrinkml.export.exporter import Exporter
from shrinkml.export.int8.components import wer_by_component
from shrinkml.export.parity import compare
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.export.stress import stress
from shrinkml.report.record import ExportRow

ONNX, ONNX_INT8 = "final-onnx", "final-onnx-int8"  # checkpoints for ONNX Runtime
N_COMPARED = 100  # utterances that an exported recogniser must hear as the checkpoint does
MOST_DIFFERENCE = 1e-2  # between the scores of a checkpoint and of its export in float; about 1e-5 is usual


def write_onnx(materials: Materials, checkpoints: Path, *, int8: bool) -> list[ExportRow]:
    """Write the final one of `checkpoints` for ONNX Runtime, in float and perhaps also in `int8`; a row of each.

    Raises:
        ExportError: as `export_onnx`.
    """
    exporter = Exporter(checkpoints / FINAL)
    rows = [export_onnx(materials, exporter, checkpoints / ONNX)]
    if int8:
        rows.append(export_onnx(materials, exporter, checkpoints / ONNX_INT8, int8=True))
    return rows


def export_onnx(materials: Materials, exporter: Exporter, folder: Path, *, int8: bool = False) -> ExportRow:
    """Write a checkpoint for ONNX Runtime to `folder`: its name, size, likeness on dev and WER on test.

    Args:
        materials: the speech.
        exporter: of the checkpoint.
        folder: of the export.
        int8: weights are stored as int8; layers that this would harm are not.

    Raises:
        ExportError: it cannot be exported, or what came of it computes something else.
    """
    few, stop = materials.dev_utterances[:N_COMPARED], materials.should_stop
    kept = exporter.write(folder, int8=int8, speech=few, should_stop=stop)
    asking, exported = Interruptible(exporter.model, stop), OnnxRecogniser(folder)
    parity = compare(asking, exported, few)
    in_integers = bool(exporter.drawn.integers)  # sums in another order may be rounded the other way
    if not int8 and not in_integers and parity.largest_difference > MOST_DIFFERENCE:
        raise ExportError(
            f"the scores of the checkpoint and of {folder} differ by {parity.largest_difference:g}; "
            f"allowed: {MOST_DIFFERENCE:g}"
        )
    heard = exported_transcripts.transcripts(exported, materials.test_utterances, should_stop=stop)
    found = score_on_test(materials, heard)
    n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    alone = {}
    if int8:
        alone = wer_by_component(exporter.drawn, kept, few, should_stop=stop, normaliser=materials.normaliser)
    return ExportRow(
        name=folder.name,
        int8=int8 or in_integers,
        kept_layers=tuple(sorted(kept)),
        bytes=n_bytes,
        wer=found.wer,
        wer_ci95=found.wer_ci95,
        **asdict(parity),
        **asdict(stress(asking, exported, few, normaliser=materials.normaliser)),
        component_wers=alone,
    )
