"""Building, reading, writing, drawing and exporting LAS models."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from shrinkml.models.family import FreshModel, Operations
from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.las.las_family import VOCABULARY
from shrinkml.models.tokenizer import Tokenizer, Unit

if TYPE_CHECKING:  # it loads onnx
    from shrinkml.export.drawn import Drawn


def describe(model: Las) -> dict[str, Any]:
    """The shape and the unit of the tokens."""
    return {"model": model.config.to_json(), "unit": model.tokenizer.unit}


def write(model: Las, folder: Path) -> None:
    """Write the vocabulary, a token in each line."""
    (folder / VOCABULARY).write_text("".join(f"{token}\n" for token in model.tokenizer.vocabulary))


def build(config: Mapping[str, Any], folder: Path) -> Las:
    """The dense model of the shape in `config` and the vocabulary in `folder`.

    Raises:
        ConfigError: no LAS has the shape.
        CheckpointError: the vocabulary is none.
    """
    tokenizer = Tokenizer((folder / VOCABULARY).read_text().splitlines(), config["unit"])
    return Las(LasConfig.from_json(config["model"]), tokenizer)


def fresh(wanted: FreshModel) -> Las:
    """An untrained LAS.

    Raises:
        ConfigError: no LAS has the shape.
    """
    tokenizer = Tokenizer.from_texts(wanted.texts, cast(Unit, wanted.unit))
    return fresh_las(LasConfig.from_json(dict(wanted.shape)), tokenizer, wanted.seed)


def fresh_las(config: LasConfig, tokenizer: Tokenizer, seed: int) -> Las:
    """An untrained LAS whose weights depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Las(config, tokenizer)


def draw(model: Las) -> "Drawn":
    """The graphs of `model`."""
    from shrinkml.models.las import las_graph

    return las_graph.draw(model)


OPERATIONS = Operations(describe=describe, write=write, build=build, fresh=fresh, draw=draw)
