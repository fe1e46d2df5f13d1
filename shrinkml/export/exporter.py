"""From a checkpoint to a folder for ONNX Runtime."""

import os
import shutil
import uuid
from pathlib import Path

import onnx

from shrinkml import checkpoint
from shrinkml.errors import ExportError
from shrinkml.export import las
from shrinkml.export.graph import Storage
from shrinkml.export.recipe import DECODER, ENCODER
from shrinkml.models.las import Las


def export(name: str | Path, folder: str | Path) -> None:
    """Writes the checkpoint `name` as encoder.onnx, decoder.onnx and recogniser.json to the new folder `folder`.

    Raises:
        CheckpointError: no checkpoint, or a broken one.
        ExportError: models of its family cannot be exported yet.
    """
    info = checkpoint.inspect(name)
    model = checkpoint.load(name)
    if not isinstance(model, Las):
        raise ExportError(f"{info.folder} is of family {info.family!r}; exported to ONNX so far: las")
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    partial.mkdir(parents=True)
    storage = Storage(half=info.dtype == "float16")
    facts = {"source": info.digest}
    try:
        for part, write in ((ENCODER, las.encoder), (DECODER, las.decoder)):
            onnx.save(write(model, storage).model(facts), partial / f"{part}.onnx")
        las.recipe(model).write(partial, facts)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
