"""A recogniser drawn as ONNX graphs, whose weights may then be stored in several ways."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx

from shrinkml.checkpoint import Recogniser
from shrinkml.compression.layers import find_layers
from shrinkml.export import ctc, las, seq2seq
from shrinkml.export.graph import Storage, as_model
from shrinkml.export.int8 import write_int8
from shrinkml.export.recipe import ENCODER, Recipe
from shrinkml.export.traced import layers_of, store_
from shrinkml.models.huggingface_ctc import HuggingFaceCtc
from shrinkml.models.las import Las


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is the same in every export of a recogniser.

    Attributes:
        recipe: how its graphs are driven.
        layers: whose weights int8 rounds.
        stored: its graphs by their names, with weights as the storage says.
    """

    recipe: Recipe
    layers: tuple[str, ...]
    stored: Callable[[Storage], Mapping[str, onnx.ModelProto]]

    def write_graphs(self, folder: Path, storage: Storage) -> None:
        """Writes the graphs to `folder`; in int8, large products are computed so."""
        for part, graph in self.stored(storage).items():
            path = folder / f"{part}.onnx"
            if storage.int8:
                write_int8(graph, path, storage.kept)
            else:
                onnx.save(graph, path)


def draw(model: Recogniser) -> Drawn:
    """The graphs of `model`; a network of transformers is traced, which takes much longer than what follows.

    Raises:
        ExportError: a model of a kind that nobody has tried, or one that cannot be traced.
    """
    if isinstance(model, Las):
        layers = tuple(layer.name for layer in find_layers(model))
        return Drawn(las.recipe(model), layers, partial(las.graphs, model))
    if isinstance(model, HuggingFaceCtc):
        parts, recipe = {ENCODER: ctc.encoder(model)}, ctc.recipe(model)
    else:
        parts, recipe = seq2seq.graphs(model)
    layers = tuple(dict.fromkeys(layer for part in parts.values() for layer in layers_of(part)))
    return Drawn(recipe, layers, partial(_stored, parts))


def _stored(parts: Mapping[str, onnx.GraphProto], storage: Storage) -> dict[str, onnx.ModelProto]:
    found = {}
    for name, part in parts.items():
        graph = copy.deepcopy(part)
        store_(graph, storage)
        found[name] = as_model(graph)
    return found
