"""The command that undoes factorization."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.local_commands import Model
from server.cli.output import Json, note, print_json


def merge(
    checkpoint: Model,
    out: Annotated[Path, typer.Option(help="Folder to write; a model that lies there is replaced.")],
    as_json: Json = False,
) -> None:
    """Write a dense copy that transformers opens without ShrinkML; it saves nothing.

    Example: shrinkml merge small/final --out dense
    """
    from shrinkml.storage.checkpoint import stored_parameters
    from shrinkml.storage.merging import save_merged

    save_merged(checkpoint, out)
    before, after = stored_parameters(checkpoint), stored_parameters(out)
    if as_json:
        print_json({"folder": str(out), "parameters": after, "checkpoint_parameters": before})
    else:
        note(f"{out} holds {after:,} parameters, {checkpoint} {before:,}: transformers opens it, and it saves nothing.")
