"""Checkpoints as files: what can be said of a model without torch."""

import json
import math
from pathlib import Path

from safetensors import SafetensorError, safe_open

from server.views import ModelView
from shrinkml.bundle import bundled_names, model_folder
from shrinkml.errors import CheckpointError

PARTS = ("config.json", "vocabulary.txt", "model.safetensors")


def check_model(name: str) -> ModelView:
    """What the files of the model `name` say: a bundled one, or a folder.

    Raises:
        CheckpointError: no such folder, a part of it is missing, or its files are no model.
    """
    folder = model_folder(name)
    missing = [part for part in PARTS if not (folder / part).is_file()]
    if missing:
        raise CheckpointError(f"{name} is no model: {', '.join(missing)} missing; give the folder of a checkpoint")
    weights = folder / "model.safetensors"
    return ModelView(
        name=name, family=_family(folder), parameters=_count_parameters(weights), bytes=weights.stat().st_size
    )


def bundled_models() -> list[ModelView]:
    """The models that come with the package."""
    return [check_model(name) for name in bundled_names()]


def _family(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text())["family"])
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{folder / 'config.json'} is no model's description: JSON with a family") from None


def _count_parameters(weights: Path) -> int:
    try:
        with safe_open(weights, framework="numpy") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise CheckpointError(f"{weights} is no safetensors file: {error}") from None
