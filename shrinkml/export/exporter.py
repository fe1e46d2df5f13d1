"""From a checkpoint to a folder for ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path

from shrinkml.errors import ExportError
from shrinkml.events import ShouldStop
from shrinkml.export.recipe import RECIPE
from shrinkml.extras import needs
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.utterance import Utterance
from shrinkml.storage import checkpoint
from shrinkml.storage.replacing import replacing

with needs("the export"):
    from shrinkml.export.drawn import draw
    from shrinkml.export.graph import Storage
    from shrinkml.export.int8.int8_sensitivity import MOST_DIVERGENCE, sensitive_layers


class Exporter:
    """A checkpoint, drawn once, to be written in several precisions.

    Attributes:
        model: the checkpoint, opened.
        drawn: its graphs.
    """

    def __init__(self, name: str | Path) -> None:
        """The checkpoint `name`.

        Raises:
            CheckpointError: no checkpoint, or a broken one.
            ExportError: a model of a kind that nobody has tried, or one that cannot be traced.
        """
        self.model = checkpoint.load(name)
        self.drawn = draw(self.model)
        self._source = checkpoint.inspect(name)

    def write(
        self,
        folder: str | Path,
        *,
        int8: bool = False,
        speech: Sequence[Utterance] = (),
        most_divergence: float = MOST_DIVERGENCE,
        should_stop: ShouldStop = lambda: False,
    ) -> frozenset[str]:
        """Writes graphs and recogniser.json to the new folder `folder`; see `export`.

        Returns:
            The layers that int8 would harm, and that stayed as they are.

        Raises:
            CheckpointError: something else lies in `folder`.
            ExportError: a graph that is too large for a file, or `int8` for a model whose products are in integers.
            AudioError: speech that cannot be read.
            StoppedError: `should_stop`, asked before every look at layers in int8, said so.
        """
        if int8 and self.drawn.integers:
            raise ExportError("the model rounds its activations: its products are in integers already; leave out int8")
        kept = frozenset[str]()
        if int8 and speech:
            kept = sensitive_layers(self.model, self.drawn, speech, most_divergence, should_stop=should_stop)
        with replacing(Path(folder), mark=RECIPE) as partial:
            self.drawn.write_graphs(partial, Storage(self._source.dtype == "float16", int8, kept))
            self.drawn.recipe.write(partial, {"source": self._source.digest, "int8": int8, "kept": sorted(kept)})
        return kept


def export(
    name: str | Path,
    folder: str | Path,
    *,
    int8: bool = False,
    speech: Sequence[Utterance] = (),
    most_divergence: float = MOST_DIVERGENCE,
) -> frozenset[str]:
    """Writes the checkpoint `name` for ONNX Runtime to the new folder `folder`: graphs, and recogniser.json.

    A CTC model becomes encoder.onnx, all others encoder.onnx and decoder.onnx.

    Args:
        name: a checkpoint.
        folder: an export that lies there is replaced.
        int8: whether weights are stored as int8, and the products of large matrices computed so.
        speech: utterances whose first few show which layers int8 would harm: these stay as they are.
        most_divergence: nats per token by which one layer in int8 may move the posteriors on `speech`.

    Returns:
        The layers that int8 would harm.

    Raises:
        CheckpointError: no checkpoint, or a broken one, or something else lies in `folder`.
        ExportError: a model of a kind that nobody has tried, one that cannot be traced, or one too large for a file.
        AudioError: speech that cannot be read.
    """
    return Exporter(name).write(folder, int8=int8, speech=speech, most_divergence=most_divergence)


def check_exportable(model: AsrModel) -> None:
    """That something smaller made of `model` can be exported; nothing is written.

    Raises:
        ExportError: it cannot, and why.
    """
    draw(model)
