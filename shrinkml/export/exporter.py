"""From a checkpoint to a folder for ONNX Runtime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from shrinkml import checkpoint
from shrinkml.checkpoint import Recogniser
from shrinkml.compression.layers import find_layers
from shrinkml.export import ctc, las, seq2seq
from shrinkml.export.graph import Storage
from shrinkml.export.int8 import MOST_DIVERGENCE, divergence, write_int8
from shrinkml.export.recipe import DECODER, ENCODER, RECIPE, Recipe
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.huggingface_ctc import HuggingFaceCtc
from shrinkml.models.las import Las
from shrinkml.replacing import replacing
from shrinkml.speech.audio import read_audio
from shrinkml.speech.utterance import Utterance


def export(
    name: str | Path,
    folder: str | Path,
    *,
    int8: bool = False,
    speech: Sequence[Utterance] = (),
    most_divergence: float = MOST_DIVERGENCE,
) -> None:
    """Writes the checkpoint `name` for ONNX Runtime to the new folder `folder`: graphs, and recogniser.json.

    A CTC model becomes encoder.onnx, all others encoder.onnx and decoder.onnx.

    Args:
        name: a checkpoint.
        folder: an export that lies there is replaced.
        int8: whether weights are stored as int8, and the products of large matrices computed so.
        speech: a few utterances; with them, layers of a LAS that int8 would harm are found and stay as they are.
        most_divergence: nats per token by which one layer in int8 may move the posteriors on `speech`.

    Raises:
        CheckpointError: no checkpoint, or a broken one, or something else lies in `folder`.
        ExportError: a model of a kind that nobody has tried, or one that cannot be traced.
        AudioError: speech that cannot be read.
    """
    info = checkpoint.inspect(name)
    model = checkpoint.load(name)
    half = info.dtype == "float16"
    kept: frozenset[str] = frozenset()
    if int8 and speech and isinstance(model, Las):
        kept = _sensitive_layers(model, speech, most_divergence)
    graphs, recipe = _graphs(model, Storage(half, int8, kept))
    with replacing(Path(folder), mark=RECIPE) as partial:
        _write(graphs, partial, int8=int8, kept=kept)
        recipe.write(partial, {"source": info.digest, "int8": int8, "kept": sorted(kept)})


def check_exportable(model: Recogniser) -> None:
    """That `export` can write `model`; nothing is written.

    Raises:
        ExportError: it cannot, and why.
    """
    _graphs(model, Storage())


def _graphs(model: Recogniser, storage: Storage) -> tuple[dict[str, onnx.ModelProto], Recipe]:
    """The graphs of `model` by their names, and how to drive them."""
    if isinstance(model, Las):
        graphs = {ENCODER: las.encoder(model, storage).model(), DECODER: las.decoder(model, storage).model()}
        return graphs, las.recipe(model)
    if isinstance(model, HuggingFaceCtc):
        return {ENCODER: ctc.encoder(model, storage)}, ctc.recipe(model)
    return seq2seq.graphs(model, storage)


def _write(graphs: Mapping[str, onnx.ModelProto], folder: Path, *, int8: bool, kept: frozenset[str]) -> None:
    for part, graph in graphs.items():
        path = folder / f"{part}.onnx"
        if int8:
            write_int8(graph, path, kept)
        else:
            onnx.save(graph, path)


def _sensitive_layers(model: Las, speech: Sequence[Utterance], most: float) -> frozenset[str]:
    """Layers that move the posteriors by more than `most` nats per token when they alone are int8."""
    waveforms = [read_audio(utterance.audio, model.sample_rate_hz) for utterance in speech]
    tokens = [model.tokenizer.encode(utterance.text) for utterance in speech]
    steps = [len(row) + 1 for row in tokens]
    layers = frozenset(layer.name for layer in find_layers(model))

    def logits(storage: Storage) -> np.ndarray:
        graphs, recipe = _graphs(model, storage)
        with TemporaryDirectory() as name:
            folder = Path(name)
            _write(graphs, folder, int8=storage.int8, kept=storage.kept)
            recipe.write(folder, {})
            return OnnxRecogniser(folder).logits(waveforms, tokens)

    reference = logits(Storage())
    alone = {layer: logits(Storage(int8=True, kept=layers - {layer})) for layer in layers}
    return frozenset(layer for layer in layers if divergence(reference, alone[layer], steps) > most)
