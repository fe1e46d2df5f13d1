"""Checkpoints: a folder with config.json, model.safetensors and the family's own files that opens with the core alone.

config.json holds the model's family and shape, and the choice of every matrix that is not dense: the parts of its form
are stored as they are, so the file is as small as the plan says. Nothing is inferred from shapes. A folder that
`transformers` wrote is opened like a checkpoint of ours.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.places import attach_, quantizers, spec_of
from shrinkml.compression.int8 import in_int8, is_int8
from shrinkml.compression.sites import current_plan
from shrinkml.compression.surgery import reshape
from shrinkml.errors import CheckpointError, ShrinkError
from shrinkml.extras import needs
from shrinkml.models.families import FAMILIES
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.model_folder import BUFFERS, CONFIG, COUNTS, WEIGHTS, ModelFolder, look_into
from shrinkml.storage.packing import pack, unpack, weights_in_files
from shrinkml.storage.replacing import replacing
from shrinkml.tables import look_up

FORMAT = "shrinkml/1"

ACTIVATIONS = "activations"  # in config.json: how they are rounded, where they are

DTYPES = {"float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """The facts of a checkpoint that are known without building the model.

    Attributes:
        folder: where it lies.
        family: as config.json calls it.
        dtype: of the stored weights, a name in DTYPES.
        plan: choice of each of its matrices.
        activations: how they are rounded; None where they are not.
        stored_bytes: size of the weights' files.
        digest: sha256 over all of its files.
        provenance: what its maker wrote down.
    """

    folder: Path
    family: str
    dtype: str
    plan: CompressionPlan
    activations: ActivationSpec | None
    stored_bytes: int
    digest: str
    provenance: Mapping[str, Any]


def locate(name: str | Path) -> Path:
    """The folder of the checkpoint `name`: a bundled one where it begins with "reference/", otherwise a path.

    Raises:
        CheckpointError: there is no such folder, or it is no checkpoint.
    """
    return look_into(name).path


def inspect(name: str | Path) -> CheckpointInfo:
    """The facts of the checkpoint `name`, without building it.

    Raises:
        CheckpointError: no checkpoint, or a broken one.
    """
    folder = look_into(name)
    config: dict[str, Any] = {"dtype": _stored_dtype(folder), "plan": {}} if folder.stock else _checked(folder)
    return CheckpointInfo(
        folder=folder.path,
        family=folder.family.stored_as,
        dtype=config["dtype"],
        plan=CompressionPlan.from_json(config["plan"]),
        activations=_activations(config),
        stored_bytes=folder.stored_bytes,
        digest=folder.digest,
        provenance=config.get("provenance", {}),
    )


def load(name: str | Path, *, int8: bool = False) -> AsrModel:
    """The recogniser in the checkpoint `name`, in float32, ready to transcribe.

    Args:
        name: of a bundled checkpoint, or its folder.
        int8: whether its linear layers are to multiply in int8 (`shrinkml.compression.int8`), to run faster.

    Raises:
        CheckpointError: no checkpoint, or a broken one: unreadable files, tensors that do not fit the config, NaN.
        PrecisionError: no layer of it would multiply in int8.
        MissingPackageError: a model of transformers, which is not installed.
    """
    with needs(f"opening {name}"):
        model = _opened(name)
    return cast(AsrModel, in_int8(model.module)) if int8 else model


def _opened(name: str | Path) -> AsrModel:
    folder = look_into(name)
    operations = folder.family.operations()
    if folder.stock and operations.open_stock is not None:
        stock = operations.open_stock(folder)
        _check_finite(_tensors(stock.module), folder.path)
        return stock
    config = _checked(folder)
    try:
        dense = operations.build(config, folder.path)
        model = reshape(dense.module, CompressionPlan.from_json(config["plan"]))
        if (activations := _activations(config)) is not None:
            attach_(model, activations)
        tensors = unpack(model, load_file(folder.path / WEIGHTS))
    except (ShrinkError, SafetensorError, TypeError, ValueError, RuntimeError) as error:  # torch: no memory for a shape
        raise CheckpointError(f"{folder.path} is a broken checkpoint: {error}") from error
    _check_finite(tensors, folder.path)
    try:
        _fill_(model, tensors)
    except RuntimeError as error:
        raise CheckpointError(f"the weights in {folder.path} do not fit its {CONFIG}: {error}") from error
    return cast(AsrModel, model.eval())


def save(
    model: AsrModel, folder: str | Path, *, dtype: str = "float32", provenance: Mapping[str, Any] | None = None
) -> None:
    """Writes `model` to the new folder `folder`, whole or not at all.

    Args:
        model: the recogniser.
        folder: a model that lies there is replaced.
        dtype: of the stored weights: "float16" halves the file and rounds the weights.
        provenance: JSON-able facts of how it was made.

    Raises:
        UnknownNameError: no such dtype.
        CheckpointError: something else lies in `folder`, or `model` was opened to multiply in int8.
    """
    if is_int8(model.module):
        raise CheckpointError("the model multiplies in int8, which is only to run it; save what `load` gives without")
    stored = look_up(DTYPES, dtype, kind="dtype")
    family = look_up(FAMILIES, model.family, kind="model family")
    operations = family.operations()
    tensors = pack(model.module, _tensors(model.module))
    config = {
        "format": FORMAT,
        "family": family.stored_as,
        **operations.describe(model),
        "plan": current_plan(model.module).to_json(),
        **({ACTIVATIONS: spec.to_json()} if (spec := spec_of(model.module)) else {}),
        "dtype": dtype,
        **({COUNTS: counts} if (counts := weights_in_files(model.module, tensors)) else {}),
        "provenance": dict(provenance or {}),
    }
    with replacing(Path(folder)) as partial:
        operations.write(model, partial)
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        ranges = {f"{name}.{end}" for name, _ in quantizers(model.module) for end in ("low", "high")}
        weights = {name: _stored(it, torch.float32 if name in ranges else stored) for name, it in tensors.items()}
        save_file(weights, partial / WEIGHTS, _metadata(model.module))
        shutil.copymode(partial / CONFIG, partial / WEIGHTS)  # safetensors lets nobody but the owner read it


def stored_parameters(name: str | Path) -> int:
    """Weights counted from the files themselves, not from the model.

    Raises:
        CheckpointError: no checkpoint, or a broken file.
    """
    return look_into(name).stored_parameters


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors that are stored of `model`: each parameter under its first name, and the buffers that are kept."""
    parameters = dict(model.named_parameters())
    return {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if name in parameters} | {
        name: model.state_dict()[name] for name in _buffers(model)
    }


def _buffers(model: nn.Module) -> list[str]:
    """Names of the tensors of the model's state that are no parameters."""
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    return [name for name in model.state_dict() if name not in parameters]


def _metadata(model: nn.Module) -> dict[str, str] | None:
    buffers = _buffers(model)
    return {BUFFERS: json.dumps(buffers)} if buffers else None


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().contiguous()
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _fill_(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Fills `model` with `tensors`, which name each of its parameters once.

    Raises:
        RuntimeError: they do not fit, or one is missing.
    """
    filled = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    found = model.load_state_dict(filled, strict=False)
    expected = _tensors(model).keys()
    missing = sorted(expected - tensors.keys())
    if missing or found.unexpected_keys:
        raise RuntimeError(f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(found.unexpected_keys)}")


def _check_finite(tensors: Mapping[str, Tensor], folder: Path) -> None:
    broken = [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise CheckpointError(f"{folder} holds NaN or infinite weights: {', '.join(broken)}")


def _activations(config: Mapping[str, Any]) -> ActivationSpec | None:
    return ActivationSpec.from_json(config[ACTIVATIONS]) if ACTIVATIONS in config else None


def _stored_dtype(folder: ModelFolder) -> str:
    """The dtype to store weights in that came of this folder: half precision where it is used there."""
    return "float16" if folder.half else "float32"


def _checked(folder: ModelFolder) -> dict[str, Any]:
    config = folder.config
    if config.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder.path / CONFIG} has format {config.get('format')!r}; this version reads {FORMAT!r}"
        )
    missing = [key for key in (*folder.family.keys, "plan", "dtype") if key not in config]
    if missing:
        raise CheckpointError(f"{folder.path / CONFIG} lacks {', '.join(missing)}")
    if config["dtype"] not in DTYPES:
        raise CheckpointError(f"{folder.path / CONFIG}: dtype is {config['dtype']!r}; allowed: {', '.join(DTYPES)}")
    return config
