"""compression.json of a checkpoint: the rank of every layer, and what the model was made from."""

import json
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from shrinkml.compression.dropping.drop import absent_in
from shrinkml.compression.sites import current_plan, find_layers, model_cost
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.choice import Choice
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.storage.checkpoint import inspect, load, stored_parameters
from shrinkml.storage.model_folder import COMPRESSION
from shrinkml.storage.replacing import add_file

SCHEMA = "shrinkml-compression/1"
PACKAGES = ("shrinkml", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class CompressedLayer:
    """One factorizable matrix of a model.

    Attributes:
        name: of its site.
        shape: [out, in].
        rank: of its factors; None where it is dense.
        break_even_rank: the highest rank that saves parameters.
        bits: of each weight; None where they are those of the checkpoint's dtype.
        sparsity: share of its weights that are zero and not stored.
        units: rows or columns that are left of it, where units are cut; None where all are.
    """

    name: str
    shape: tuple[int, int]
    rank: int | None
    break_even_rank: int
    bits: int | None = None
    sparsity: float = 0.0
    units: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The layer as plain JSON values."""
        return {**asdict(self), "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class CompressionRecord:
    """The content of compression.json.

    Attributes:
        family: of the checkpoint, as its config.json calls it.
        dtype: of its weights.
        parameters: that its file holds.
        dense_parameters: of the same model without factors.
        layers: its matrices, in forward order.
        dropped: modules that were left out.
        source: digest of the model that it was made from.
        data: split -> sha256 of its manifest.
        normaliser: id and version of the text normaliser that all WERs were counted with.
        seed: of everything random.
        versions: of Python and packages.
    """

    family: str
    dtype: str
    parameters: int
    dense_parameters: int
    layers: tuple[CompressedLayer, ...]
    dropped: tuple[str, ...]
    source: str
    data: Mapping[str, str]
    normaliser: str
    seed: int
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return {
            "schema": SCHEMA,
            "family": self.family,
            "dtype": self.dtype,
            "parameters": self.parameters,
            "dense_parameters": self.dense_parameters,
            "layers": [layer.to_json() for layer in self.layers],
            "dropped": list(self.dropped),
            "provenance": {
                "source": self.source,
                "data": dict(self.data),
                "normaliser": self.normaliser,
                "seed": self.seed,
                "versions": dict(self.versions),
            },
        }


def write_record(
    folder: Path, *, source: str, data: Mapping[str, str], normaliser: str, seed: int
) -> CompressionRecord:
    """Write compression.json into the checkpoint `folder` and return the record that it holds.

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
    record = CompressionRecord(
        family=found.family,
        dtype=found.dtype,
        parameters=stored_parameters(folder),
        dense_parameters=model_cost(model.module).dense_parameters,
        layers=layers_of(model),
        dropped=tuple(absent_in(model.module)),
        source=source,
        data=data,
        normaliser=normaliser,
        seed=seed,
        versions={"python": platform.python_version(), **installed(PACKAGES)},
    )
    add_file(folder, COMPRESSION, json.dumps(record.to_json(), indent=2) + "\n")
    return record


def layers_of(model: AsrModel) -> tuple[CompressedLayer, ...]:
    """Every factorizable matrix of `model`."""
    plan = current_plan(model.module)
    return tuple(
        CompressedLayer(
            layer.name,
            (layer.out_features, layer.in_features),
            plan.choice(layer.name).rank,
            layer.break_even_rank,
            plan.choice(layer.name).bits,
            plan.choice(layer.name).sparsity,
            units_left(layer, plan.choice(layer.name)),
        )
        for layer in find_layers(model.module)
    )


def units_left(layer: LayerSpec, choice: Choice) -> int | None:
    """The units that are left where some were cut that the matrix computes or, where it computes all, multiplies."""
    return choice.inputs if choice.outputs is None else choice.outputs // layer.gates


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Package -> version of those of `packages` that are installed."""
    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
