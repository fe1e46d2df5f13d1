"""Models as files: facts about a model that need no torch."""

from dataclasses import dataclass

from shrinkml.errors import CheckpointError
from shrinkml.storage.bundle import bundled_names
from shrinkml.storage.model_folder import look_into


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model as its files describe it.

    Attributes:
        name: of the model, as a job names it.
        family: its kind.
        parameters: stored in its file.
        bytes: size of the weights' file.
    """

    name: str
    family: str
    parameters: int
    bytes: int


def check_model(name: str) -> ModelFacts:
    """Return the facts about the model `name`, a bundled one or a folder.

    Raises:
        CheckpointError: no such folder, a part of it is missing, or its files are no model.
    """
    try:
        folder = look_into(name)
        parameters, stored_bytes = folder.stored_parameters, folder.stored_bytes
    except OSError as error:
        raise CheckpointError(f"{name} cannot be read ({error.strerror})") from error
    return ModelFacts(name=name, family=folder.family.stored_as, parameters=parameters, bytes=stored_bytes)


def bundled_models() -> list[ModelFacts]:
    """Return the models that come with the package."""
    return [check_model(name) for name in bundled_names()]
