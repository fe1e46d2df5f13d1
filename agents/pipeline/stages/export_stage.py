"""The stage that writes the final model in the other forms that the job asks for, and says how like they are."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agents.pipeline.folder.run_folder import FINAL
from agents.pipeline.materials import Materials
from agents.pipeline.stage import Stage, StageContext, takes
from agents.search.interruptible import Interruptible
from shrinkml.errors import ExportError, PrecisionError
from shrinkml.export import exported_transcripts
from shrinkml.export.components import wer_by_component
from shrinkml.export.exporter import Exporter
from shrinkml.export.parity import compare
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.export.stress import stress
from shrinkml.job import JobSpec
from shrinkml.measure.evaluation import transcripts
from shrinkml.speech.scoring import score
from shrinkml.storage import checkpoint
from shrinkml.storage.merging import save_merged

ONNX, ONNX_INT8 = "final-onnx", "final-onnx-int8"  # checkpoints for ONNX Runtime
DENSE = "final-dense"  # the one for transformers alone
N_COMPARED = 100  # utterances that an exported recogniser must hear as the checkpoint does
MOST_DIFFERENCE = 1e-2  # between the scores of a checkpoint and of its export in float; about 1e-5 is usual


@dataclass(frozen=True, slots=True)
class Exported:
    """The exports of the final model for ONNX Runtime.

    Attributes:
        exports: a `shrinkml.report.record.ExportRow` of each.
        torch_int8: the model in int8 in torch, where the job asks for that and any layer gains by it.
    """

    exports: Sequence[Mapping[str, Any]] = ()
    torch_int8: Mapping[str, Any] | None = None


def hear_in_int8(materials: Materials, model: Path) -> Mapping[str, Any] | None:
    """The WER of the checkpoint `model` on test where torch multiplies in int8, on the CPU; None if it would not."""
    try:
        small = Interruptible(checkpoint.load(model, int8=True), materials.should_stop)
    except PrecisionError:
        return None
    test = materials.test
    found = score(test.texts, transcripts(small, test), groups=test.speakers, seed=materials.seed)
    return {"wer": found.wer, "wer_ci95": list(found.wer_ci95)}


def export_onnx(materials: Materials, exporter: Exporter, folder: Path, *, int8: bool = False) -> Mapping[str, Any]:
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
    if not int8 and parity.largest_difference > MOST_DIFFERENCE:
        raise ExportError(
            f"the scores of the checkpoint and of {folder} differ by {parity.largest_difference:g}; "
            f"allowed: {MOST_DIFFERENCE:g}"
        )
    test = materials.test_utterances
    heard = exported_transcripts.transcripts(exported, test, should_stop=stop)
    found = score([u.text for u in test], heard, groups=[u.speaker for u in test], seed=materials.seed)
    n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    facts = {"name": folder.name, "int8": int8, "kept_layers": sorted(kept), "bytes": n_bytes}
    facts |= {"wer": found.wer, "wer_ci95": list(found.wer_ci95)}
    alone = wer_by_component(exporter.drawn, kept, few, should_stop=stop) if int8 else {}
    return {**facts, **asdict(parity), **asdict(stress(asking, exported, few)), "component_wers": alone}


def _run(context: StageContext) -> Exported:
    spec, materials, folder = context.tools.spec, context.tools.materials, context.tools.folder.checkpoints
    if "transformers" in spec.export:
        save_merged(folder / FINAL, folder / DENSE)
    if "onnx" not in spec.export:
        return Exported()
    exporter = Exporter(folder / FINAL)
    rows = [export_onnx(materials, exporter, folder / ONNX)]
    if spec.quantize != "int8":
        return Exported(rows)
    rows.append(export_onnx(materials, exporter, folder / ONNX_INT8, int8=True))
    return Exported(rows, hear_in_int8(materials, folder / FINAL))


def _is_asked_for(spec: JobSpec, _: float) -> bool:
    return bool(spec.export)


EXPORT = Stage("export", Exported, _run, takes(15.0), present=_is_asked_for)
