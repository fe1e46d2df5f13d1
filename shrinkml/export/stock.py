"""Exports in the layouts of other programs, which open them without ShrinkML.

A layout draws the parts of a recogniser as graphs, whose weights are then stored as for our own exports, and arranges
them as the files that its programs look for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shrinkml.activations.places import spec_of
from shrinkml.compression.surgery import widen
from shrinkml.errors import ExportError
from shrinkml.extras import needs
from shrinkml.models.families import FAMILIES
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.utterance import Utterance
from shrinkml.storage import checkpoint
from shrinkml.storage.replacing import replacing

with needs("the export"):
    import onnx

    from shrinkml.export.drawn import draw
    from shrinkml.export.few_bits.packed_products import few_bits_of
    from shrinkml.export.graph import Storage, as_model
    from shrinkml.export.int8.int8_graph import write_int8
    from shrinkml.export.int8.int8_sensitivity import sensitive_layers

PARTS = Mapping[str, onnx.GraphProto]


@dataclass(frozen=True, slots=True)
class Layout:
    """The way in which the programs of others want a recogniser.

    Attributes:
        check: raises ExportError where a model cannot be arranged so; draws nothing.
        draw: the parts of a model, by name, as they were traced.
        store: narrows the weights of a part, in place, as the storage says; large products are then the quantizer's.
        arrange: model, stored parts, folder, True for int8 -> writes all files to the empty folder.
        mark: the file that tells a folder in this layout.
    """

    check: Callable[[Any], None]
    draw: Callable[[Any], PARTS]
    store: Callable[[onnx.GraphProto, Storage], None]
    arrange: Callable[[Any, PARTS, Path, bool], None]
    mark: str


class StockExporter:
    """A checkpoint, drawn once in one layout, to be written in several precisions."""

    def __init__(self, name: str | Path, layout: str) -> None:
        """The checkpoint `name` in `layout`.

        Raises:
            CheckpointError: no checkpoint, or a broken one.
            ExportError: it cannot be arranged so, or cannot be traced.
        """
        self.model = checkpoint.load(name)
        self._layout = layout_of(self.model, layout)
        self._layout.check(self.model)
        if spec_of(self.model.module) is not None:
            raise ExportError(
                f"the model rounds its activations, which layout {layout!r} would not keep; export it without a layout"
            )
        self._parts = self._layout.draw(widen(self.model.module))
        self._few_bits = few_bits_of(self.model.module)
        self._half = checkpoint.inspect(name).dtype == "float16"

    def write(self, folder: str | Path, *, int8: bool = False, kept: frozenset[str] = frozenset()) -> None:
        """Writes the new folder `folder`, whole or not at all; int8 leaves the layers `kept` as they are.

        Raises:
            CheckpointError: something else lies in `folder`.
            ExportError: a graph that is too large for a file.
        """
        storage = Storage(self._half, int8, kept, self._few_bits)
        parts = {name: stored(part, self._layout, storage.of(name)) for name, part in self._parts.items()}
        with replacing(Path(folder), mark=self._layout.mark) as partial:
            self._layout.arrange(self.model, parts, partial, int8)


def export(
    name: str | Path, folder: str | Path, layout: str, *, int8: bool = False, speech: Sequence[Utterance] = ()
) -> frozenset[str]:
    """Writes the checkpoint `name` in `layout` to the new folder `folder`.

    Args:
        name: a checkpoint.
        folder: an export that lies there is replaced.
        layout: of the programs that are to open it.
        int8: whether weights are stored as int8, and the products of large matrices computed so.
        speech: utterances whose first few show which layers int8 would harm: these stay as they are.

    Returns:
        The layers that int8 would harm.

    Raises:
        CheckpointError: no checkpoint, or a broken one, or something else lies in `folder`.
        ExportError: it cannot be arranged so, cannot be traced, or is too large for a file.
        AudioError: speech that cannot be read.
    """
    stock, kept = StockExporter(name, layout), frozenset[str]()
    if int8 and speech:
        kept = sensitive_layers(stock.model, draw(stock.model), speech)
    stock.write(folder, int8=int8, kept=kept)
    return kept


def layout_of(model: AsrModel, layout: str) -> Layout:
    """The row of `layout` in the table of the family of `model`.

    Raises:
        ExportError: the family has none.
    """
    operations = FAMILIES[model.family].operations()
    if layout not in operations.layouts:
        known = sorted({name for family in FAMILIES.values() for name in family.operations().layouts})
        raise ExportError(
            f"a model of family {FAMILIES[model.family].stored_as!r} has no layout {layout!r}; layouts, of models that "
            f"have any: {', '.join(known)}"
        )
    return operations.layouts[layout]()


def check_layout(model: AsrModel, layout: str) -> None:
    """Raise where something smaller made of `model` could not be written in `layout`; nothing is drawn.

    Raises:
        ExportError: it could not, and why.
    """
    layout_of(model, layout).check(model)


def stored(part: onnx.GraphProto, layout: Layout, storage: Storage) -> onnx.GraphProto:
    """`part` with its weights as `storage` says, its large products in int8 where that says so."""
    graph = onnx.GraphProto()
    graph.CopyFrom(part)
    layout.store(graph, storage)
    if not storage.int8:
        return graph
    with TemporaryDirectory() as folder:
        path = Path(folder) / "part.onnx"
        write_int8(as_model(graph), path, storage.kept)
        return onnx.load(path).graph
