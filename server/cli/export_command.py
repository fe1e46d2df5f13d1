"""The command that takes a checkpoint to another runtime."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.local_commands import Model
from server.cli.output import Json, note, print_json, print_table


def export(
    checkpoint: Model,
    out: Annotated[Path, typer.Option(help="Folder to write; an export that lies there is replaced.")],
    int8: Annotated[bool, typer.Option("--int8", help="Store weights as int8, and compute large products so.")] = False,
    speech: Annotated[
        Path | None,
        typer.Option(
            help="Manifest, its first 16 utterances are used: layers that int8 would harm are left as they are."
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            help="Opens it: onnx (ours), sherpa-onnx (Whisper, transducers, CTC models of samples), optimum (Whisper)."
        ),
    ] = "onnx",
    as_json: Json = False,
) -> None:
    """Write a checkpoint as ONNX graphs, for devices without torch.

    Example: shrinkml export reference/las --out small-onnx --int8
    """
    if speech and not int8:
        raise typer.BadParameter("it serves to find layers that int8 would harm: add --int8", param_hint="--speech")
    from shrinkml.export import exporter, stock
    from shrinkml.speech.manifest import read_manifest
    from shrinkml.storage.replacing import LIST

    utterances = read_manifest(speech) if speech else ()
    if layout == "onnx":
        kept = exporter.export(checkpoint, out, int8=int8, speech=utterances)
    else:
        kept = stock.export(checkpoint, out, layout, int8=int8, speech=utterances)
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name != LIST]
    sizes = {path.relative_to(out).as_posix(): path.stat().st_size for path in files}
    if as_json:
        print_json({"folder": str(out), "files": sizes, "kept": sorted(kept)})
    else:
        print_table(("", "bytes"), [(name, f"{size:,}") for name, size in sizes.items()])
        if speech:
            note(f"not in int8, which would harm them: {', '.join(sorted(kept)) or 'no layer'}")
