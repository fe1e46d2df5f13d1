"""From a checkpoint to a dense copy that the library of its origin opens: every product of factors multiplied out."""

from pathlib import Path

from shrinkml.compression.sites import model_cost
from shrinkml.errors import CheckpointError, ExportError
from shrinkml.models.families import FAMILIES, libraries
from shrinkml.models.family import Copied
from shrinkml.storage.checkpoint import inspect, load, stored_parameters
from shrinkml.storage.model_folder import CARD, look_into
from shrinkml.storage.replacing import replacing


def save_merged(name: str | Path, folder: str | Path) -> None:
    """Writes the checkpoint `name`, dense, to the new folder `folder`, in its precision, whole or not at all.

    Args:
        name: a checkpoint of a model that a library other than ShrinkML opens.
        folder: a model that lies there is replaced.

    Raises:
        CheckpointError: no checkpoint, or a broken one, or something else lies in `folder`, or that in the checkpoint.
        ExportError: no other library opens models of its family.
    """
    check_mergeable(name)
    found = inspect(name)
    if Path(folder).resolve().is_relative_to(found.folder.resolve()):
        raise CheckpointError(
            f"{folder} is the checkpoint to merge or lies in it ({found.folder}); write to another folder"
        )
    model = load(name)
    copies = FAMILIES[model.family].operations().dense_copies
    assert copies is not None, "a family with a library has them"
    source = Copied(
        digest=found.digest,
        parameters=stored_parameters(name),
        dense_parameters=model_cost(model.module).dense_parameters,
        dtype=found.dtype,
    )
    with replacing(Path(folder)) as partial:
        copies.write(model, partial, found.dtype == "float16")
        (partial / CARD).write_text(copies.card(model, source), encoding="utf-8")


def check_mergeable(name: str | Path) -> None:
    """That `save_merged` can write the checkpoint `name`; nothing is written.

    Raises:
        CheckpointError: no checkpoint, or a broken one.
        ExportError: no other library opens models of its family.
    """
    folder = look_into(name)
    if folder.family.library is None:
        raise ExportError(
            f"{folder.path} is of family {folder.family.stored_as!r}, which nothing but ShrinkML opens, dense or not; "
            f"merged are models of {', '.join(libraries())}"
        )
    if not folder.stock and inspect(name).activations is not None:
        raise ExportError(f"{folder.path} rounds its activations, which a dense copy would not; merge the one before")
