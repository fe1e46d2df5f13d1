"""From a checkpoint to a folder for ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from shrinkml import checkpoint
from shrinkml.compression.layers import find_layers
from shrinkml.errors import ExportError
from shrinkml.export import las
from shrinkml.export.graph import Storage
from shrinkml.export.int8 import MOST_DIVERGENCE, divergence, write_int8
from shrinkml.export.recipe import DECODER, ENCODER, RECIPE
from shrinkml.export.recogniser import OnnxRecogniser
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
    """Writes the checkpoint `name` as encoder.onnx, decoder.onnx and recogniser.json to the new folder `folder`.

    Args:
        name: a checkpoint.
        folder: an export that lies there is replaced.
        int8: whether weights are stored as int8, and the products of large matrices computed so.
        speech: a few utterances; with them, layers that int8 would harm are found and stay as they are.
        most_divergence: nats per token by which one layer in int8 may move the posteriors on `speech`.

    Raises:
        CheckpointError: no checkpoint, or a broken one, or something else lies in `folder`.
        ExportError: models of its family cannot be exported yet.
        AudioError: speech that cannot be read.
    """
    info = checkpoint.inspect(name)
    model = checkpoint.load(name)
    if not isinstance(model, Las):
        raise ExportError(f"{info.folder} is of family {info.family!r}; exported to ONNX so far: las")
    half = info.dtype == "float16"
    kept = _sensitive_layers(model, speech, most_divergence) if int8 and speech else frozenset()
    with replacing(Path(folder), mark=RECIPE) as partial:
        _write(model, partial, Storage(half, int8, kept))
        las.recipe(model).write(partial, {"source": info.digest, "int8": int8, "kept": sorted(kept)})


def _write(model: Las, folder: Path, storage: Storage) -> None:
    for part, write in ((ENCODER, las.encoder), (DECODER, las.decoder)):
        graph, path = write(model, storage).model(), folder / f"{part}.onnx"
        if storage.int8:
            write_int8(graph, path, storage.kept)
        else:
            onnx.save(graph, path)


def _sensitive_layers(model: Las, speech: Sequence[Utterance], most: float) -> frozenset[str]:
    """Layers that move the posteriors by more than `most` nats per token when they alone are int8."""
    waveforms = [read_audio(utterance.audio, model.sample_rate_hz) for utterance in speech]
    tokens = [model.tokenizer.encode(utterance.text) for utterance in speech]
    steps = [len(row) + 1 for row in tokens]
    layers = frozenset(layer.name for layer in find_layers(model))

    def logits(storage: Storage) -> np.ndarray:
        with TemporaryDirectory() as name:
            folder = Path(name)
            _write(model, folder, storage)
            las.recipe(model).write(folder, {})
            return OnnxRecogniser(folder).logits(waveforms, tokens)

    reference = logits(Storage())
    alone = {layer: logits(Storage(int8=True, kept=layers - {layer})) for layer in layers}
    return frozenset(layer for layer in layers if divergence(reference, alone[layer], steps) > most)
