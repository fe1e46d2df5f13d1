"""The files of a model's folder, read without torch; nothing in it is run.

There are two kinds: our own checkpoints, whose config.json names a format, and folders of `transformers` (Hugging
Face), whose config.json names a model type. Weights are read from safetensors only: the pickles in .bin and .pt files
can run any program when they are opened.
"""

import hashlib
import json
import math
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from shrinkml.errors import CheckpointError
from shrinkml.export.recipe import RECIPE
from shrinkml.models.families import recognised, stored_names
from shrinkml.models.family import Family
from shrinkml.regular_file import read_regular
from shrinkml.storage.bundle import model_folder

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"  # about the model, for its page on a hub
COMPRESSION = "compression.json"  # tells how a checkpoint came about; nothing is read from it
BUFFERS = "buffers"  # in the head of our weights: names of the tensors that are no parameters, as JSON
COUNTS = "weights"  # in our config.json: weights in each tensor of which not every number is one
SHARDS = "model.safetensors.index.json"  # of transformers: which file holds which tensor, where there are several
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
STOCK_PICKLE = "pytorch_model"  # how names of pickles begin that transformers opens
BARE = (  # what to do with a pickle of another name
    "torch.load(path, weights_only=True) into the class of transformers whose weights they are, then "
    "save_pretrained(folder) of that model, its feature extractor and its tokenizer"
)
MOST_DESCRIPTION_BYTES = 1 << 24  # of a file that describes a model; one of 100,000 tensors takes 10 MB
DESCRIPTIONS = (".json", ".txt", ".model")  # what a tokenizer, a feature extractor and a config are made of

ADAPTER = "adapter_config.json"  # of PEFT: changes to a model that lies elsewhere
MERGING = (
    "PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(folder), then save the feature "
    "extractor and the tokenizer there too"
)

MARKS = {"format": "our `format`", "model_type": "a `model_type` of transformers"}  # by which config.json is known


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The files of a model.

    Attributes:
        path: where they lie.
        family: of the model, by config.json.
        stock: True for a folder that the library of its origin wrote, and that is no checkpoint of ours.
        config: the content of config.json.
        weights: the files of its tensors.
        others: all other files that it is made of; what is only said about it is none.
    """

    path: Path
    family: Family
    stock: bool
    config: dict[str, Any]
    weights: tuple[Path, ...]
    others: tuple[Path, ...]

    @property
    def stored_bytes(self) -> int:
        """Size of the files of its tensors."""
        return sum(path.stat().st_size for path in self.weights)

    @property
    def stored_parameters(self) -> int:
        """Weights in those files, but no scales. Running statistics are none: ours say which are, others count them in.

        Raises:
            CheckpointError: a file is broken.
        """
        counts = {} if self.stock else self.config.get(COUNTS, {})
        return sum(_count_parameters(path, counts) for path in self.weights)

    @property
    def half(self) -> bool:
        """True where some of its weights are stored in half precision.

        Raises:
            CheckpointError: a file is broken.
        """
        return any(_holds_half(path) for path in self.weights)

    @property
    def digest(self) -> str:
        """The sha256 over all of its files, in hex digits."""
        return digest_of((*self.others, *self.weights))


def digest_of(files: Iterable[Path]) -> str:
    """The sha256 over the `files`, in that order, in hex digits."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def look_into(name: str | Path) -> ModelFolder:
    """The files of the model `name`: a bundled one where it begins with "reference/", otherwise a path.

    Raises:
        CheckpointError: no such folder, a part of it is missing, its weights are pickled, or its family is not known.
    """
    path = Path(name)
    if path.suffix in PICKLES and os.path.isfile(path) and not (path.parent / WEIGHTS).is_file():
        raise _pickled(f"{path} is a pickle", path.parent, [path.name])
    folder = model_folder(str(name))
    config = _read_config(folder)
    family = recognised(config)
    if family is None:
        raise CheckpointError(
            f"{folder / CONFIG} is no model's description: its family is {config.get('family')!r}; "
            f"known: {', '.join(stored_names())}"
        )
    if "format" not in config:
        return ModelFolder(folder, family, True, config, _stock_weights(folder), _descriptions(folder))
    _check_parts(folder, (*(family.files or (CONFIG,)), WEIGHTS))
    others = _descriptions(folder) if family.files is None else tuple(folder / name for name in family.files)
    return ModelFolder(folder, family, False, config, (folder / WEIGHTS,), others)


def _count_parameters(path: Path, counts: Mapping[str, int]) -> int:
    with _opened(path) as file:
        try:
            buffers = set(json.loads((file.metadata() or {}).get(BUFFERS, "[]")))
        except (ValueError, TypeError, RecursionError) as error:
            raise CheckpointError(f"{path} names its {BUFFERS} wrongly: {error}") from error
        names = [name for name in file.keys() if name not in buffers]  # noqa: SIM118 - no mapping
        return sum(counts.get(name, math.prod(file.get_slice(name).get_shape())) for name in names)


def _holds_half(path: Path) -> bool:
    with _opened(path) as file:
        return any(file.get_slice(name).get_dtype() == "F16" for name in file.keys())  # noqa: SIM118 - no mapping


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file: {error}") from error


def _check_parts(folder: Path, parts: tuple[str, ...]) -> None:
    missing = [part for part in parts if not (folder / part).is_file()]
    if missing:
        raise CheckpointError(f"{folder} is no checkpoint: {', '.join(missing)} missing")


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        _check_no_adapter(folder)
        _check_not_pickled(folder)
        if (folder / RECIPE).is_file():
            raise CheckpointError(
                f"{folder} is an export for ONNX Runtime, not a checkpoint: give the checkpoint that it was made from, "
                "or run the export with the script in ShrinkML's README, which needs onnxruntime alone"
            )
        raise CheckpointError(f"{folder} is no checkpoint: {CONFIG} missing, which has {' or '.join(MARKS.values())}")
    try:
        config = json.loads(read_regular(path, most_bytes=MOST_DESCRIPTION_BYTES))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} has format {type(config).__name__!r}; a JSON object describes a model")
    if not config.keys() & MARKS.keys():
        raise CheckpointError(f"{path} describes no model that is known: it has neither {' nor '.join(MARKS.values())}")
    return config


def _stock_weights(folder: Path) -> tuple[Path, ...]:
    """The safetensors of a folder of transformers, whole or in shards."""
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if (folder / SHARDS).is_file():
        return _shards(folder)
    _check_no_adapter(folder)
    _check_not_pickled(folder)
    raise CheckpointError(f"{folder} is no checkpoint: {WEIGHTS} missing")


def _check_no_adapter(folder: Path) -> None:
    if (folder / ADAPTER).is_file():
        raise CheckpointError(
            f"{folder} holds an adapter (LoRA or another of PEFT, by its {ADAPTER}), not the model that it changes: "
            f"merge it into the model first, with {MERGING}"
        )


def _check_not_pickled(folder: Path) -> None:
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles and not (folder / WEIGHTS).is_file():
        raise _pickled(f"{folder} holds its weights as a pickle ({', '.join(pickles)})", folder, pickles)


def _pickled(what: str, folder: Path, names: Sequence[str]) -> CheckpointError:
    stock = (folder / CONFIG).is_file() and any(name.startswith(STOCK_PICKLE) for name in names)
    return CheckpointError(
        f"{what}, which can run any program when it is opened. "
        f"If you trust where it comes from, convert it once: {conversion(folder) if stock else BARE}"
    )


def _shards(folder: Path) -> tuple[Path, ...]:
    try:
        names = sorted(
            set(json.loads(read_regular(folder / SHARDS, most_bytes=MOST_DESCRIPTION_BYTES))["weight_map"].values())
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{folder / SHARDS} lists no shards: {error!r}") from error
    strange = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
    if strange:
        raise CheckpointError(f"{folder / SHARDS} names files that are no shards beside it: {', '.join(strange)}")
    _check_parts(folder, tuple(names))
    return tuple(folder / name for name in names)


def conversion(folder: Path) -> str:
    """The command that writes the pickled model in `folder` as safetensors to a new folder beside it."""
    folder = Path(os.path.abspath(folder))  # "." has no name
    target = folder.with_name(f"{folder.name}-safetensors")
    program = (
        "import sys, transformers as t; old, new = sys.argv[1:]; c = t.AutoConfig.from_pretrained(old); "
        "kind = t.AutoModelForCTC if type(c) in t.MODEL_FOR_CTC_MAPPING else t.AutoModelForSpeechSeq2Seq; "
        "[part.from_pretrained(old).save_pretrained(new) for part in (kind, t.AutoFeatureExtractor, t.AutoTokenizer)]"
    )
    return f'python -c "{program}" {shlex.quote(str(folder))} {shlex.quote(str(target))}'


def _descriptions(folder: Path) -> tuple[Path, ...]:
    files = (path for path in folder.iterdir() if path.is_file() and path.suffix in DESCRIPTIONS)
    return tuple(sorted(path for path in files if path.name != COMPRESSION))
