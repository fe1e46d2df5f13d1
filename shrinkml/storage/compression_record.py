"""compression.json of a checkpoint: what became of every layer, and what the model was made from."""

import json
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from shrinkml.compression.sites import current_plan, find_layers, model_cost
from shrinkml.models.protocol import AsrModel
from shrinkml.storage.checkpoint import inspect, load, stored_parameters
from shrinkml.storage.model_folder import COMPRESSION
from shrinkml.storage.replacing import add_file

SCHEMA = "shrinkml-compression/1"
PACKAGES = ("shrinkml", "torch", "transformers")


def write_record(folder: Path, *, source: str, data: Mapping[str, str], normaliser: str, seed: int) -> dict[str, Any]:
    """Writes compression.json into the checkpoint `folder` and returns what it holds.

    Args:
        folder: a checkpoint.
        source: digest of the model that it was made from.
        data: split -> sha256 of its manifest.
        normaliser: id and version of the text normaliser that all WERs were counted with.
        seed: of everything random.

    Raises:
        CheckpointError: no checkpoint, or a broken one.
    """
    model, found = load(folder), inspect(folder)
    record = {
        "schema": SCHEMA,
        "family": found.family,
        "dtype": found.dtype,
        "parameters": stored_parameters(folder),
        "dense_parameters": model_cost(model.module).dense_parameters,
        "layers": layer_rows(model),
        "provenance": {
            "source": source,
            "data": dict(data),
            "normaliser": normaliser,
            "seed": seed,
            "versions": {"python": platform.python_version(), **installed(PACKAGES)},
        },
    }
    add_file(folder, COMPRESSION, json.dumps(record, indent=2) + "\n")
    return record


def layer_rows(model: AsrModel) -> list[dict[str, Any]]:
    """Every factorizable matrix of `model`: name, shape [out, in], rank (None: dense) and break-even rank."""
    plan = current_plan(model.module)
    return [
        {
            "name": layer.name,
            "shape": [layer.out_features, layer.in_features],
            "rank": plan.choice(layer.name).rank,
            "break_even_rank": layer.break_even_rank,
        }
        for layer in find_layers(model.module)
    ]


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Package -> version of those of `packages` that are installed."""
    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
