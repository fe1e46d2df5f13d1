"""Exports in the layouts of other programs: the final checkpoint in a folder that these open without ShrinkML."""

from pathlib import Path

from agents.pipeline.exports.onnx_export import compared
from agents.pipeline.folder.run_folder import FINAL
from agents.pipeline.materials import Materials
from shrinkml.export.exporter import Exporter
from shrinkml.export.int8.int8_sensitivity import sensitive_layers
from shrinkml.export.stock import StockExporter


def write_stock(materials: Materials, checkpoints: Path, layout: str, *, int8: bool) -> None:
    """Write the final one of `checkpoints` in `layout`, in float and perhaps also in `int8`, beside it.

    Layers that int8 would harm stay as they are, as in the export for ONNX Runtime.

    Raises:
        ExportError: it cannot be written so.
    """
    stock, folder = StockExporter(checkpoints / FINAL, layout), checkpoints / f"{FINAL}-{layout}"
    stock.write(folder)
    if int8:
        own = Exporter(checkpoints / FINAL)
        kept = sensitive_layers(own.model, own.drawn, compared(materials), should_stop=materials.should_stop)
        stock.write(folder.with_name(f"{folder.name}-int8"), int8=True, kept=kept)
