"""Building, reading and writing recognisers of our own, by the types of a model and of its shape."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import torch

from shrinkml.models.family import FreshModel, Operations
from shrinkml.models.protocol import AsrModel
from shrinkml.models.tokenizer import Tokenizer, Unit
from shrinkml.models.trainable.trainable_family import VOCABULARY
from shrinkml.models.trainable.trainable_recogniser import TrainableRecogniser
from shrinkml.models.trainable.trainable_shape import TrainableShape

if TYPE_CHECKING:  # it loads onnx
    from shrinkml.export.drawn import Drawn

Model = TypeVar("Model", bound=AsrModel)
Shape = TypeVar("Shape", bound=TrainableShape)


@dataclass(frozen=True, slots=True)
class Trainables(Generic[Model, Shape]):
    """The models of a family.

    Attributes:
        model: shape and tokenizer -> an untrained model.
        shape: type of the shapes.
    """

    model: Callable[[Shape, Tokenizer], Model]
    shape: type[Shape]

    def operations(self, draw: "Callable[[Model], Drawn]", **more: Any) -> Operations:
        """The family's operations; `more` are those that not every family has."""
        return Operations(describe=describe, write=write, build=self.build, fresh=self.fresh, draw=draw, **more)

    def build(self, config: Mapping[str, Any], folder: Path) -> Model:
        """The dense model of the shape in `config` and the vocabulary in `folder`.

        Raises:
            ConfigError: no model of the family has the shape.
            CheckpointError: the vocabulary is none.
        """
        tokenizer = Tokenizer((folder / VOCABULARY).read_text().splitlines(), config["unit"])
        return self.model(self.shape.from_json(config["model"]), tokenizer)

    def fresh(self, wanted: FreshModel) -> Model:
        """An untrained model.

        Raises:
            ConfigError: no model of the family has the shape.
        """
        tokenizer = Tokenizer.from_texts(wanted.texts, cast(Unit, wanted.unit))
        return self.seeded(self.shape.from_json(wanted.shape), tokenizer, wanted.seed)

    def seeded(self, shape: Shape, tokenizer: Tokenizer, seed: int) -> Model:
        """An untrained model whose weights depend on `seed` alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.model(shape, tokenizer)


def describe(model: TrainableRecogniser[Any]) -> dict[str, Any]:
    """The shape and the unit of the tokens."""
    return {"model": model.config.to_json(), "unit": model.tokenizer.unit}


def write(model: TrainableRecogniser[Any], folder: Path) -> None:
    """Write the vocabulary, a token in each line."""
    (folder / VOCABULARY).write_text("".join(f"{token}\n" for token in model.tokenizer.vocabulary))
