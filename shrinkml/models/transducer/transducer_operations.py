"""Building, reading, writing and drawing transducers."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from shrinkml.models.family import FreshModel, Operations
from shrinkml.models.tokenizer import Tokenizer, Unit
from shrinkml.models.transducer.transducer import Transducer, TransducerConfig
from shrinkml.models.transducer.transducer_family import VOCABULARY
from shrinkml.models.transducer.transducer_stream import TransducerStream

if TYPE_CHECKING:  # it loads onnx
    from shrinkml.export.drawn import Drawn
    from shrinkml.export.stock import Layout


def describe(model: Transducer) -> dict[str, Any]:
    """The shape and the unit of the labels."""
    return {"model": model.config.to_json(), "unit": model.tokenizer.unit}


def write(model: Transducer, folder: Path) -> None:
    """Write the vocabulary, a token in each line."""
    (folder / VOCABULARY).write_text("".join(f"{token}\n" for token in model.tokenizer.vocabulary))


def build(config: Mapping[str, Any], folder: Path) -> Transducer:
    """The dense model of the shape in `config` and the vocabulary in `folder`.

    Raises:
        ConfigError: no transducer has the shape.
        CheckpointError: the vocabulary is none.
    """
    tokenizer = Tokenizer((folder / VOCABULARY).read_text().splitlines(), config["unit"])
    return Transducer(TransducerConfig.from_json(config["model"]), tokenizer)


def fresh(wanted: FreshModel) -> Transducer:
    """An untrained transducer, whose weights depend on the seed alone.

    Raises:
        ConfigError: no transducer has the shape.
    """
    tokenizer = Tokenizer.from_texts(wanted.texts, cast(Unit, wanted.unit))
    config = TransducerConfig.from_json(dict(wanted.shape))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(wanted.seed)
        return Transducer(config, tokenizer)


def draw(model: Transducer) -> "Drawn":
    """The graphs of `model`."""
    from shrinkml.models.transducer import transducer_graph

    return transducer_graph.draw(model)


def _sherpa() -> "Layout":
    from shrinkml.models.transducer.sherpa_transducer import SHERPA_TRANSDUCER

    return SHERPA_TRANSDUCER


OPERATIONS = Operations(
    describe=describe,
    write=write,
    build=build,
    fresh=fresh,
    draw=draw,
    stream=TransducerStream,
    first_pass=Transducer.first_pass,
    layouts={"sherpa-onnx": _sherpa},
)
