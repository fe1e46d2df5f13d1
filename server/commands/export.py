"""The command that takes a checkpoint to another runtime."""

from pathlib import Path
from typing import Annotated

import typer

from server.commands.local import Model
from server.commands.output import Json, print_json, print_table


def export(
    checkpoint: Model,
    out: Annotated[Path, typer.Option(help="Folder to write; replaced if it is there.")],
    as_json: Json = False,
) -> None:
    """Write a checkpoint as ONNX graphs, for devices without torch.

    Example: shrinkml export reference/las --out small-onnx
    """
    from shrinkml.export import exporter

    exporter.export(checkpoint, out)
    sizes = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
    if as_json:
        print_json({"folder": str(out), "files": sizes})
    else:
        print_table(("", "bytes"), [(name, f"{size:,}") for name, size in sizes.items()])
