"""From a checkpoint to a folder for ONNX Runtime."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shrinkml import checkpoint
from shrinkml.checkpoint import Recogniser
from shrinkml.events import ShouldStop
from shrinkml.export.drawn import Drawn, draw
from shrinkml.export.graph import Storage
from shrinkml.export.recipe import RECIPE
from shrinkml.export.sensitivity import MOST_DIVERGENCE, sensitive_layers
from shrinkml.replacing import replacing
from shrinkml.speech.utterance import Utterance


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported.

    Attributes:
        model: the checkpoint, opened.
        drawn: its graphs.
        kept: the layers that int8 would harm, and that stayed as they are.
    """

    model: Recogniser
    drawn: Drawn
    kept: frozenset[str]


def export(
    name: str | Path,
    folder: str | Path,
    *,
    int8: bool = False,
    speech: Sequence[Utterance] = (),
    most_divergence: float = MOST_DIVERGENCE,
    should_stop: ShouldStop = lambda: False,
) -> Exported:
    """Writes the checkpoint `name` for ONNX Runtime to the new folder `folder`: graphs, and recogniser.json.

    A CTC model becomes encoder.onnx, all others encoder.onnx and decoder.onnx.

    Args:
        name: a checkpoint.
        folder: an export that lies there is replaced.
        int8: whether weights are stored as int8, and the products of large matrices computed so.
        speech: utterances whose first few show which layers int8 would harm: these stay as they are.
        most_divergence: nats per token by which one layer in int8 may move the posteriors on `speech`.
        should_stop: whether to end early.

    Raises:
        CheckpointError: no checkpoint, or a broken one, or something else lies in `folder`.
        ExportError: a model of a kind that nobody has tried, or one that cannot be traced.
        AudioError: speech that cannot be read.
        StoppedError: `should_stop`, asked before every look at layers in int8, said so.
    """
    model, source = checkpoint.load(name), checkpoint.inspect(name)
    drawn, kept = draw(model), frozenset[str]()
    if int8 and speech:
        kept = sensitive_layers(model, drawn, speech, most_divergence, should_stop=should_stop)
    with replacing(Path(folder), mark=RECIPE) as partial:
        drawn.write_graphs(partial, Storage(source.dtype == "float16", int8, kept))
        drawn.recipe.write(partial, {"source": source.digest, "int8": int8, "kept": sorted(kept)})
    return Exported(model, drawn, kept)


def check_exportable(model: Recogniser) -> None:
    """That `export` can write `model`; nothing is written.

    Raises:
        ExportError: it cannot, and why.
    """
    draw(model).stored(Storage())
