"""The table of exports. Loads no torch: whoever takes a row loads what that needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agents.pipeline.folder.run_folder import FINAL
from shrinkml.job import JobSpec
from shrinkml.report.record import ExportRow

if TYPE_CHECKING:
    from agents.pipeline.materials import Materials

DENSE = "final-dense"  # the checkpoint for transformers alone
AS_THEY_ARE = "low rank as it is, few bits and zeros written out"  # layers, in graphs


@dataclass(frozen=True, slots=True)
class Export:
    """One form that a model may be written in.

    Attributes:
        words: for it and what it does to layers, in descriptions and in the pre-flight report.
        check: raises where the original cannot be written so; writes nothing.
        write: writes the final one of a job's checkpoints, and returns a row of each form that the report compares.
    """

    words: str
    check: Callable[["Materials"], None]
    write: Callable[["Materials", JobSpec, Path], Sequence[ExportRow]]


def _check_onnx(materials: "Materials") -> None:
    from shrinkml.export.exporter import check_exportable

    check_exportable(materials.model)


def _write_onnx(materials: "Materials", spec: JobSpec, checkpoints: Path) -> Sequence[ExportRow]:
    from agents.pipeline.exports.onnx_export import write_onnx

    return write_onnx(materials, checkpoints, int8=spec.quantize == "int8")


def _check_transformers(materials: "Materials") -> None:
    from shrinkml.storage.merging import check_mergeable

    check_mergeable(materials.original)


def _write_transformers(materials: "Materials", spec: JobSpec, checkpoints: Path) -> Sequence[ExportRow]:
    from shrinkml.storage.merging import save_merged

    save_merged(checkpoints / FINAL, checkpoints / DENSE)
    return ()  # it computes what the checkpoint computes, as slowly as the original


def _stock(layout: str, words: str) -> Export:
    """The export in the layout of other programs."""

    def check(materials: "Materials") -> None:
        from shrinkml.export.stock import check_layout

        check_layout(materials.model, layout)

    def write(materials: "Materials", spec: JobSpec, checkpoints: Path) -> Sequence[ExportRow]:
        from agents.pipeline.exports.stock_export import write_stock

        write_stock(materials, checkpoints, layout, int8=spec.quantize == "int8")
        return ()  # it computes what the export for ONNX Runtime computes

    return Export(words, check, write)


EXPORTS: dict[str, Export] = {
    "onnx": Export(f"graphs for ONNX Runtime, {AS_THEY_ARE}", _check_onnx, _write_onnx),
    "sherpa-onnx": _stock(
        "sherpa-onnx",
        f"a Whisper, a transducer with a tied decoder or a CTC model of samples as sherpa-onnx opens it, {AS_THEY_ARE}",
    ),
    "optimum": _stock("optimum", f"a Whisper as optimum and transformers.js open it, {AS_THEY_ARE}"),
    "transformers": Export(
        "a dense copy, which transformers opens without ShrinkML: low rank multiplied out, so that it saves nothing",
        _check_transformers,
        _write_transformers,
    ),
}
