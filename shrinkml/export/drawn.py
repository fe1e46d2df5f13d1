"""A recogniser drawn as ONNX graphs, whose weights may then be stored in several ways."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch

from shrinkml.compression.surgery import widen
from shrinkml.export.few_bits.packed_products import few_bits_of, pack_
from shrinkml.export.few_bits.packed_rows import PackedRows
from shrinkml.export.graph import Storage
from shrinkml.export.int8.int8_graph import left_in_float, write_int8
from shrinkml.export.integers.integer_product import IntegerProduct
from shrinkml.export.integers.integer_products import integer_products_of, multiply_in_integers_
from shrinkml.export.recipe import Recipe
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.families import FAMILIES
from shrinkml.models.protocol import AsrModel
from shrinkml.tables import look_up

OUTPUT = "output"  # the layer that makes the scores


@dataclass(frozen=True, slots=True)
class Drawn:
    """The part that is the same in every export of a recogniser.

    Attributes:
        recipe: how its graphs are driven.
        components: the graphs by name, and OUTPUT -> the layers whose weights int8 rounds.
        stored: its graphs by their names, with weights as the storage says.
        few_bits: see `Storage`.
        integers: see `Storage`; empty where activations are not rounded.
    """

    recipe: Recipe
    components: Mapping[str, tuple[str, ...]]
    stored: Callable[[Storage], Mapping[str, onnx.ModelProto]]
    few_bits: Mapping[str, PackedRows] = field(default_factory=dict)
    integers: Mapping[str, IntegerProduct] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[str, ...]:
        """Of all components, in their order."""
        return tuple(layer for layers in self.components.values() for layer in layers)

    def write_graphs(self, folder: Path, storage: Storage, written: dict[str, str] | None = None) -> None:
        """Writes the graphs to `folder`; in int8, large products are computed so.

        Args:
            folder: that exists.
            storage: of the weights.
            written: graph -> digest of what lies in `folder` already, which is not written again; kept up to date.
        """
        half = storage.half and not self.integers  # matrices are to be known by their numbers
        storage = replace(storage, half=half, few_bits=self.few_bits, integers=self.integers)
        written = {} if written is None else written
        for part, graph in self.stored(storage).items():
            multiply_in_integers_(graph.graph, storage)
            pack_(graph.graph, storage.of(part))
            digest = _digest(graph, storage)
            if written.get(part) != digest:
                _write(graph, folder / f"{part}.onnx", storage)
                written[part] = digest

    @contextmanager
    def trials(self) -> Iterator[Callable[[Storage], OnnxRecogniser]]:
        """Exports for the time being, on as many threads as torch has here: each is over when the next is opened."""
        with TemporaryDirectory() as name:
            folder, written = Path(name), dict[str, str]()
            self.recipe.write(folder, {})

            def opened(storage: Storage) -> OnnxRecogniser:
                self.write_graphs(folder, storage, written)
                return OnnxRecogniser(folder, threads=torch.get_num_threads())

            yield opened


def _digest(graph: onnx.ModelProto, storage: Storage) -> str:
    """Equal for graphs and storages that make the same file."""
    told = hashlib.sha256(graph.SerializeToString(deterministic=True))
    told.update(repr(sorted(left_in_float(graph.graph, storage.kept)) if storage.int8 else None).encode())
    return told.hexdigest()


def _write(graph: onnx.ModelProto, path: Path, storage: Storage) -> None:
    path.unlink(missing_ok=True)  # a runtime may still have it open
    if storage.int8:
        write_int8(graph, path, storage.kept)
    else:
        onnx.save(graph, path)


def draw(model: AsrModel) -> Drawn:
    """The graphs of `model`; a network that is traced takes much longer than what follows.

    Raises:
        ExportError: a model of a kind that nobody has tried, or one that cannot be traced.
        UnknownNameError: a model of no family.
    """
    operations = look_up(FAMILIES, model.family, kind="model family").operations()
    drawn = operations.draw(widen(model.module))
    return replace(drawn, few_bits=few_bits_of(model.module), integers=integer_products_of(model.module))


def components(layers: Mapping[str, Sequence[str]], scoring: str) -> dict[str, tuple[str, ...]]:
    """The layers of each graph, those of several where they come first, without the one that makes the scores."""
    found, seen = {}, {scoring}
    for graph, names in layers.items():
        found[graph] = tuple(name for name in names if name not in seen)
        seen.update(names)
    return {**found, OUTPUT: (scoring,)}
