"""Checks of a folder of `transformers` before its model is used; transformers itself lets much of it pass."""

import logging
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from shrinkml.errors import CheckpointError
from shrinkml.models.huggingface.speech_input import Speech
from shrinkml.storage.model_folder import CONFIG, ModelFolder

WRAPPERS = {"_orig_mod.": "torch.compile", "module.": "DistributedDataParallel or DataParallel"}  # and their names
MAX_NAMED = 5  # weights in one message

logger = logging.getLogger(__name__)


def check_readable(folder: ModelFolder) -> None:
    """That the files of the weights are whole, and that the names in them are the model's own.

    Raises:
        CheckpointError: they are not.
    """
    for path in folder.weights:
        try:
            with safe_open(path, framework="pt") as file:
                names = [*file.keys()]
        except SafetensorError as error:
            raise CheckpointError(f"{path} is truncated or no safetensors file: {error}") from error
        _check_unwrapped(names, path)


def check_complete(network: Any, found: Mapping[str, Any], path: Path) -> None:
    """That the files held every weight in its shape, and no layers beyond those of the network.

    Args:
        network: of transformers.
        found: the loading info that it was opened with.
        path: its folder.

    Raises:
        CheckpointError: they did not, or there are more layers in them.
    """
    wrong = [f"{name} {list(stored)} instead of {list(wanted)}" for name, stored, wanted in found["mismatched_keys"]]
    if wrong:
        raise CheckpointError(f"the weights in {path} do not fit its config.json: {_first(wrong)}")
    if found["missing_keys"]:
        raise CheckpointError(f"{path} lacks weights: {_first(found['missing_keys'])}")
    unused = sorted(found["unexpected_keys"])
    if beyond := _beyond_the_layers(network, unused):
        raise CheckpointError(
            f"the config.json of {path} has fewer layers than the weights: no place for {_first(beyond)}"
        )
    if unused:  # heads of a pretraining, tables that newer classes compute
        logger.info("%s holds weights that its model does not use: %s", path, ", ".join(unused))


def check_window(speech: Speech, network: Any, path: Path) -> None:
    """That the feature extractor makes windows of the length that the network takes.

    Raises:
        CheckpointError: it does not.
    """
    positions = getattr(network.config, "max_source_positions", None)
    if speech.window is None or positions is None or speech.window == 2 * positions:
        return
    raise CheckpointError(
        f"the feature extractor of {path} makes windows of {speech.window} frames; its model takes {2 * positions}: "
        "set chunk_length and max_source_positions to the same length"
    )


def check_blank(network: Any, path: Path) -> None:
    """That the blank of a CTC network is one of its outputs.

    Raises:
        CheckpointError: it is not.
    """
    blank, n_outputs = network.config.pad_token_id, network.config.vocab_size
    if not isinstance(blank, int) or not 0 <= blank < n_outputs:
        raise CheckpointError(
            f"{path / CONFIG} has pad_token_id {blank!r}, which is the blank of CTC; allowed: one of the network's "
            f"outputs, 0 to {n_outputs - 1}"
        )


@contextmanager
def as_checkpoint_error(what: str) -> Iterator[None]:
    """Whatever transformers raises on files that it cannot use, as one error of ours."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:  # it raises dozens of types: OSError, ValueError, KeyError, TypeError, Rust's own
        raise CheckpointError(f"{what}: {error}") from error


def _check_unwrapped(names: Sequence[str], path: Path) -> None:
    """That no wrapper of torch's has put its name before all others."""
    wrapper = next((known for known in WRAPPERS if names and all(name.startswith(known) for name in names)), None)
    if wrapper is not None:
        program = (
            "import sys; from safetensors.torch import load_file, save_file; path, wrapper = sys.argv[1:]; "
            "save_file({name.removeprefix(wrapper): tensor for name, tensor in load_file(path).items()}, path, "
            "{'format': 'pt'})"
        )
        raise CheckpointError(
            f"{path} was saved from within {WRAPPERS[wrapper]}: all its names begin with {wrapper!r}. Save the model "
            f"inside (model.{wrapper}save_pretrained), or strip it: "
            f'python -c "{program}" {shlex.quote(str(path))} {wrapper}'
        )


def _beyond_the_layers(network: Any, names: Iterable[str]) -> list[str]:
    """Those of the weights `names` whose place would be behind the end of a list of layers."""
    # A folder of the base model alone calls its weights as the base model does.
    modules = (pair for top in (network.base_model, network) for pair in top.named_modules())
    lengths = {name: len(module) for name, module in modules if isinstance(module, nn.ModuleList)}

    def is_beyond(name: str) -> bool:
        parts = name.split(".")
        lists = (lengths.get(".".join(parts[:i]), math.inf) for i in range(len(parts)))
        return any(part.isdecimal() and int(part) >= length for part, length in zip(parts, lists, strict=True))

    return [name for name in names if is_beyond(name)]


def _first(problems: Iterable[str]) -> str:
    """A few of `problems`, and how many more there are."""
    listed = sorted(problems)
    more = [f"and {len(listed) - MAX_NAMED} more"] if len(listed) > MAX_NAMED else []
    return ", ".join([*listed[:MAX_NAMED], *more])
