"""CTC models of transformers as one ONNX graph, from waveforms to the scores of every frame.

The network is traced. What its feature extractor does before it is written out, for those whose networks can be run in
batches: waveforms, normalised or not (Wav2Vec2, HuBERT), and Parakeet's log-mel.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose
from torch import Tensor, nn

from shrinkml.errors import ExportError
from shrinkml.export.frontend import before, energies, fourier, normalised
from shrinkml.export.graph import Graph, Storage, as_model
from shrinkml.export.recipe import Recipe
from shrinkml.export.traced import store_, trace
from shrinkml.models.huggingface_ctc import HuggingFaceCtc
from shrinkml.models.huggingface_speech import LEAST_S

WAVE_EPSILON = 1e-7  # transformers' Wav2Vec2FeatureExtractor, added to the variance
MEL_EPSILON = 1e-5  # transformers' ParakeetFeatureExtractor, added to the standard deviation
MEL_FLOOR = 2.0**-24  # the same, added to energies before their logarithm


def recipe(model: HuggingFaceCtc) -> Recipe:
    """How the graph is read."""
    return Recipe(
        sample_rate_hz=model.sample_rate_hz,
        shortest_samples=int(LEAST_S * model.sample_rate_hz),
        vocabulary=model.text.pieces(model.network.config.vocab_size),
        blank=model.blank,
    )


def encoder(model: HuggingFaceCtc, storage: Storage) -> onnx.ModelProto:
    """From `waveforms` [batch, samples] and `lengths` [batch] to `logits` [batch, frames, vocabulary] and `steps`.

    Raises:
        ExportError: utterances of unequal length would change each other, the features are none that we can write, or
            torch cannot trace the network.
    """
    extractor = model.speech.extractor
    front_end = FRONT_ENDS.get(type(extractor).__name__)
    if front_end is None or not model.pads:
        raise ExportError(
            f"a {model.network.config.model_type} network behind a {type(extractor).__name__} cannot be exported to "
            f"ONNX; allowed: {', '.join(FRONT_ENDS)}, and networks that padding leaves alone"
        )
    front = Graph(Storage(), "front.")
    waveforms, lengths = front.input("waveforms", ("batch", "samples")), front.input("lengths", ("batch",), "int64")
    front_end(front, waveforms, lengths, extractor)
    model = copy.deepcopy(model).cpu()
    model.network.set_attn_implementation("eager")  # the only one that torch's exporter leaves free in time
    example = model.features(np.zeros(model.sample_rate_hz, np.float32))
    values = model.speech.batch([example, example], example.device).values
    mask = torch.ones(values.shape[:2], dtype=torch.long)
    network = trace(_Scores(model), {"values": values, "mask": mask}, ("logits", "steps"))
    store_(network, storage)
    return as_model(compose.merge_graphs(front.body(), network, [("front_values", "values"), ("front_mask", "mask")]))


class _Scores(nn.Module):
    """The network as a function of its input and of what is valid there."""

    def __init__(self, model: HuggingFaceCtc) -> None:
        super().__init__()
        self.model = model

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [batch, frames, vocabulary] and valid frames [batch]."""
        inputs = {self.model.speech.main_input: values, "attention_mask": mask}
        return self.model.network(**inputs).logits, self.model.output_lengths(mask.sum(1))


def _waveform(graph: Graph, waveforms: str, lengths: str, extractor: Any) -> None:
    """What Wav2Vec2's extractor makes of `waveforms`: zero mean and unit variance, where it is told so."""
    rows = graph.op("Unsqueeze", waveforms, graph.ints(1))
    inside, zero = before(graph, rows, lengths), graph.constant(0.0)
    rows = graph.op("Where", inside, rows, zero)
    if extractor.do_normalize:
        n = graph.op("Unsqueeze", graph.op("Cast", lengths, to=TensorProto.FLOAT), graph.ints(1, 2))
        mean = graph.op("Div", graph.op("ReduceSum", rows, graph.ints(2)), n)
        rows = graph.op("Where", inside, graph.op("Sub", rows, mean), zero)
        variance = graph.op("Div", graph.op("ReduceSum", graph.op("Mul", rows, rows), graph.ints(2)), n)
        rows = graph.op("Div", rows, graph.op("Sqrt", graph.op("Add", variance, graph.constant(WAVE_EPSILON))))
    _give(graph, graph.op("Squeeze", rows, graph.ints(1)), inside, ("batch", "samples"))


def _parakeet(graph: Graph, waveforms: str, lengths: str, extractor: Any) -> None:
    """What Parakeet's extractor makes of `waveforms`: log-mel, zero mean and unit variance per bin."""
    rows = graph.op("Unsqueeze", waveforms, graph.ints(1))
    late = graph.op("Slice", rows, graph.ints(0), graph.ints(-1), graph.ints(2))
    echo = graph.op("Pad", graph.op("Mul", late, graph.constant(extractor.preemphasis)), graph.ints(0, 0, 1, 0, 0, 0))
    rows = graph.op("Where", before(graph, rows, lengths), graph.op("Sub", rows, echo), graph.constant(0.0))
    kernel = fourier(graph, np.hanning(extractor.win_length), extractor.n_fft)
    filters = graph.constant(extractor.mel_filters.numpy())
    energy = energies(
        graph,
        graph.op("Squeeze", rows, graph.ints(1)),
        kernel,
        filters,
        shift=extractor.hop_length,
        pad=extractor.win_length // 2,  # frames are centred on multiples of the shift
    )
    mel = graph.op("Log", graph.op("Add", energy, graph.constant(MEL_FLOOR)))
    mel = graph.op("Slice", mel, graph.ints(0), graph.ints(-1), graph.ints(2))  # the last frame never counts
    counts = graph.op("Div", lengths, graph.ints(extractor.hop_length))
    mel, counts = normalised(graph, mel, counts, quietest=0.0, least=1, epsilon=MEL_EPSILON)
    inside = before(graph, mel, counts)
    _give(graph, graph.op("Transpose", mel, perm=[0, 2, 1]), inside, ("batch", "frames", extractor.feature_size))


def _give(graph: Graph, values: str, inside: str, shape: tuple[str | int, ...]) -> None:
    graph.output(values, "front_values", shape)
    mask = graph.op("Cast", graph.op("Squeeze", inside, graph.ints(1)), to=TensorProto.INT64)
    graph.output(mask, "front_mask", shape[:2], "int64")


FRONT_ENDS: dict[str, Callable[[Graph, str, str, Any], None]] = {
    "Wav2Vec2FeatureExtractor": _waveform,
    "ParakeetFeatureExtractor": _parakeet,
}
