"""Checkpoints as files: what can be said of a model without torch."""

from server.http.views import ModelView
from shrinkml.errors import CheckpointError
from shrinkml.storage.bundle import bundled_names
from shrinkml.storage.model_folder import HUGGING_FACE, LAS, look_into


def check_model(name: str) -> ModelView:
    """What the files of the model `name` say: a bundled one, or a folder.

    Raises:
        CheckpointError: no such folder, a part of it is missing, or its files are no model.
    """
    folder = look_into(name)
    if folder.family not in (LAS, HUGGING_FACE):
        raise CheckpointError(
            f"{folder.path / 'config.json'} is no model's description: its family is {folder.family!r}; "
            f"known: {LAS}, {HUGGING_FACE}"
        )
    return ModelView(name=name, family=folder.family, parameters=folder.stored_parameters, bytes=folder.stored_bytes)


def bundled_models() -> list[ModelView]:
    """The models that come with the package."""
    return [check_model(name) for name in bundled_names()]
