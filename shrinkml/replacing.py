"""Folders that are written whole or not at all."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shrinkml.errors import CheckpointError
from shrinkml.folders import CONFIG


@contextmanager
def replacing(folder: Path, *, mark: str = CONFIG) -> Iterator[Path]:
    """A new folder to write a model to, which becomes `folder` in the end; a model that lies there is replaced.

    Args:
        folder: where to.
        mark: the file that tells a model of that form.

    Raises:
        CheckpointError: what lies there is no model.
    """
    check_replaceable(folder, mark=mark)
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_replaceable(folder: Path, *, mark: str = CONFIG) -> None:
    """Does nothing where `replacing` would write: to be asked before long work.

    Raises:
        CheckpointError: what lies there is no model.
    """
    if folder.exists() and not (folder / mark).is_file() and any(folder.iterdir()):
        raise CheckpointError(f"{folder} is there and is no model; remove it, or write to another folder")
