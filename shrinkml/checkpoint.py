"""Checkpoints: a folder with config.json, vocabulary.txt and model.safetensors that opens with the core alone.

config.json holds the model's family and shape, and the rank of every factorized layer: the factors are stored as they
are, so the file is as small as the plan says.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from shrinkml.bundle import model_folder
from shrinkml.compression.layers import current_plan
from shrinkml.compression.plan import RankPlan
from shrinkml.compression.surgery import reshape
from shrinkml.errors import CheckpointError, ShrinkError
from shrinkml.models.las import Las, LasConfig
from shrinkml.models.tokenizer import Tokenizer
from shrinkml.tables import look_up

FORMAT = "shrinkml/1"
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
VOCABULARY = "vocabulary.txt"

FAMILIES = {"las": (Las, LasConfig)}
DTYPES = {"float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """What can be said of a checkpoint without building the model.

    Attributes:
        folder: where it lies.
        family: name in FAMILIES.
        dtype: of the stored weights, a name in DTYPES.
        plan: ranks of its factorized layers.
        stored_bytes: size of the weights' file.
        digest: sha256 over all of its files.
        provenance: what its maker wrote down.
    """

    folder: Path
    family: str
    dtype: str
    plan: RankPlan
    stored_bytes: int
    digest: str
    provenance: Mapping[str, Any]


def locate(name: str | Path) -> Path:
    """The folder of the checkpoint `name`: a bundled one where it begins with "reference/", otherwise a path.

    Raises:
        CheckpointError: there is no such folder, or it is no checkpoint.
    """
    folder = model_folder(str(name))
    missing = [part for part in (CONFIG, VOCABULARY, WEIGHTS) if not (folder / part).is_file()]
    if missing:
        raise CheckpointError(f"{folder} is no checkpoint: {', '.join(missing)} missing")
    return folder


def inspect(name: str | Path) -> CheckpointInfo:
    """What can be said of the checkpoint `name` without building it.

    Raises:
        CheckpointError: no checkpoint, or a broken one.
    """
    folder = locate(name)
    config = _read_config(folder)
    digest = hashlib.sha256()
    for part in (CONFIG, VOCABULARY, WEIGHTS):
        digest.update((folder / part).read_bytes())
    return CheckpointInfo(
        folder=folder,
        family=config["family"],
        dtype=config["dtype"],
        plan=RankPlan.from_json(config["plan"]),
        stored_bytes=(folder / WEIGHTS).stat().st_size,
        digest=digest.hexdigest(),
        provenance=config.get("provenance", {}),
    )


def load(name: str | Path) -> Las:
    """The recogniser in the checkpoint `name`, in float32, ready to transcribe.

    Raises:
        CheckpointError: no checkpoint, or a broken one: unreadable files, tensors that do not fit the config, NaN.
    """
    folder = locate(name)
    config = _read_config(folder)
    model_class, config_class = look_up(FAMILIES, config["family"], kind="model family")
    try:
        tokenizer = Tokenizer((folder / VOCABULARY).read_text().splitlines(), config["unit"])
        model = model_class(config_class.from_json(config["model"]), tokenizer)
        model = cast(Las, reshape(model, RankPlan.from_json(config["plan"])))
        tensors = load_file(folder / WEIGHTS)
    except (ShrinkError, SafetensorError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder} is a broken checkpoint: {error}") from error
    broken = [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise CheckpointError(f"{folder} holds NaN or infinite weights: {', '.join(broken)}")
    try:
        model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise CheckpointError(f"the weights in {folder} do not fit its {CONFIG}: {error}") from error
    model.eval()
    return model


def save(model: Las, folder: Path, *, dtype: str = "float32", provenance: Mapping[str, Any] | None = None) -> None:
    """Writes `model` to the new folder `folder`, whole or not at all.

    Args:
        model: the recogniser.
        folder: replaced if it is there.
        dtype: of the stored weights: "float16" halves the file and rounds the weights.
        provenance: JSON-able facts of how it was made.

    Raises:
        UnknownNameError: no such dtype.
    """
    stored = look_up(DTYPES, dtype, kind="dtype")
    config = {
        "format": FORMAT,
        "family": model.family,
        "model": model.config.to_json(),
        "unit": model.tokenizer.unit,
        "plan": current_plan(model).to_json(),
        "dtype": dtype,
        "provenance": dict(provenance or {}),
    }
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    partial.mkdir(parents=True)
    try:
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        (partial / VOCABULARY).write_text("".join(f"{token}\n" for token in model.tokenizer.vocabulary))
        weights = {name: tensor.detach().to(stored).contiguous() for name, tensor in model.state_dict().items()}
        save_file(weights, partial / WEIGHTS)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def stored_parameters(name: str | Path) -> int:
    """Weights counted from the file itself, not from the model.

    Raises:
        CheckpointError: no checkpoint, or a broken file.
    """
    path = locate(name) / WEIGHTS
    try:
        with safe_open(path, framework="pt") as file:
            shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file: {error}") from error
    return sum(int(torch.Size(shape).numel()) for shape in shapes)


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text())
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG} is no JSON: {error}") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        found = config.get("format") if isinstance(config, dict) else type(config).__name__
        raise CheckpointError(f"{folder / CONFIG} has format {found!r}; this version reads {FORMAT!r}")
    missing = [key for key in ("family", "model", "unit", "plan", "dtype") if key not in config]
    if missing:
        raise CheckpointError(f"{folder / CONFIG} lacks {', '.join(missing)}")
    return config
