"""The export for ONNX Runtime, measured: how like the checkpoint it is, and how well it hears."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from agents.pipeline.folder.run_folder import FINAL
from agents.pipeline.materials import Materials
from agents.pipeline.measuring import score_on_test
from agents.search.interruptible import Interruptible
from shrinkml.errors import ExportError
from shrinkml.export import exported_transcripts
from shrinkml.export.exporter import Exporter
from shrinkml.export.few_utterances import first_few
from shrinkml.export.int8.components import wer_by_component
from shrinkml.export.parity import compare
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.export.stress import stress
from shrinkml.report.record import ExportRow
from shrinkml.speech.utterance import Utterance

ONNX, ONNX_INT8 = "final-onnx", "final-onnx-int8"  # checkpoints for ONNX Runtime
# Utterances that an exported recogniser must hear as the checkpoint does: at most so many, and so many seconds of them.
N_COMPARED = 100
COMPARED_S = 240.0
MOST_DIFFERENCE = 1e-2  # between the scores of a checkpoint and of its export in float; about 1e-5 is usual


def compared(materials: Materials) -> Sequence[Utterance]:
    """The utterances of dev on which exports are compared with their checkpoint."""
    return first_few(materials.dev_utterances, most=N_COMPARED, seconds=COMPARED_S)


def opened(folder: Path) -> OnnxRecogniser:
    """The exported recogniser in `folder`, on as many threads as torch has here."""
    return OnnxRecogniser(folder, threads=torch.get_num_threads())


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
    few, stop = compared(materials), materials.should_stop
    kept = exporter.write(folder, int8=int8, speech=few, should_stop=stop)
    asking, exported = Interruptible(exporter.model, stop), opened(folder)
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
