"""A recogniser drawn as ONNX graphs, whose weights may then be stored in several ways."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from shrinkml.export.graph import Storage, as_model
from shrinkml.export.int8_graph import write_int8
from shrinkml.export.recipe import ENCODER, Recipe
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.huggingface.ctc_model import HuggingFaceCtc
from shrinkml.models.huggingface.onnx import ctc_graph, seq2seq_graph
from shrinkml.models.huggingface.onnx.traced_graph import layers_of, scoring_layer, store_
from shrinkml.models.las import las_graph
from shrinkml.models.las.las import Las
from shrinkml.storage.checkpoint import Recogniser

OUTPUT = "output"  # what makes the scores


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is the same in every export of a recogniser.

    Attributes:
        recipe: how its graphs are driven.
        components: the graphs by name, and OUTPUT -> the layers whose weights int8 rounds.
        stored: its graphs by their names, with weights as the storage says.
    """

    recipe: Recipe
    components: Mapping[str, tuple[str, ...]]
    stored: Callable[[Storage], Mapping[str, onnx.ModelProto]]

    @property
    def layers(self) -> tuple[str, ...]:
        """Of all components, in their order."""
        return tuple(layer for layers in self.components.values() for layer in layers)

    def write_graphs(self, folder: Path, storage: Storage) -> None:
        """Writes the graphs to `folder`; in int8, large products are computed so."""
        for part, graph in self.stored(storage).items():
            path = folder / f"{part}.onnx"
            if storage.int8:
                write_int8(graph, path, storage.kept)
            else:
                onnx.save(graph, path)

    @contextmanager
    def in_runtime(self, storage: Storage) -> Iterator[OnnxRecogniser]:
        """An export for the time being."""
        with TemporaryDirectory() as name:
            folder = Path(name)
            self.write_graphs(folder, storage)
            self.recipe.write(folder, {})
            yield OnnxRecogniser(folder)


def draw(model: Recogniser) -> Drawn:
    """The graphs of `model`; a network of transformers is traced, which takes much longer than what follows.

    Raises:
        ExportError: a model of a kind that nobody has tried, or one that cannot be traced.
    """
    if isinstance(model, Las):
        return Drawn(
            las_graph.recipe(model),
            _components(las_graph.layers(model), las_graph.SCORES),
            partial(las_graph.graphs, model),
        )
    if isinstance(model, HuggingFaceCtc):
        parts, recipe = {ENCODER: ctc_graph.encoder(model)}, ctc_graph.recipe(model)
    else:
        parts, recipe = seq2seq_graph.graphs(model)
    layers = {part: layers_of(graph) for part, graph in parts.items()}
    return Drawn(recipe, _components(layers, scoring_layer([*parts.values()][-1])), partial(_stored, parts))


def _components(layers: Mapping[str, Sequence[str]], scoring: str) -> dict[str, tuple[str, ...]]:
    """The layers of each graph, those of several where they come first, without the one that makes the scores."""
    found, seen = {}, {scoring}
    for graph, names in layers.items():
        found[graph] = tuple(name for name in names if name not in seen)
        seen.update(names)
    return {**found, OUTPUT: (scoring,)}


def _stored(parts: Mapping[str, onnx.GraphProto], storage: Storage) -> dict[str, onnx.ModelProto]:
    found = {}
    for name, part in parts.items():
        graph = copy.deepcopy(part)
        store_(graph, storage)
        found[name] = as_model(graph)
    return found
