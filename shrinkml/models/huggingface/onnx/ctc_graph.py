"""CTC models of transformers as one ONNX graph, from waveforms to the scores of every frame.

The network is traced, what its feature extractor does before it is written out.
"""

import copy

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose
from torch import Tensor, nn

from shrinkml.export.drawn import Drawn
from shrinkml.export.graph import FRONT, Graph, Storage
from shrinkml.export.recipe import ENCODER, Recipe
from shrinkml.models.huggingface.ctc_model import HuggingFaceCtc
from shrinkml.models.huggingface.onnx.extractor_graph import front_end_of
from shrinkml.models.huggingface.onnx.traced_graph import drawn, trace
from shrinkml.models.huggingface.speech_input import LEAST_S


def draw(model: HuggingFaceCtc) -> Drawn:
    """The graph of `model`.

    Raises:
        ExportError: see `encoder`.
    """
    return drawn({ENCODER: encoder(model)}, recipe(model))


def recipe(model: HuggingFaceCtc) -> Recipe:
    """The way the graph is read."""
    return Recipe(
        sample_rate_hz=model.sample_rate_hz,
        shortest_samples=int(LEAST_S * model.sample_rate_hz),
        vocabulary=model.text.pieces(model.network.config.vocab_size),
        blank=model.blank,
        pads=model.pads,
    )


def encoder(model: HuggingFaceCtc) -> onnx.GraphProto:
    """From `waveforms` [batch, samples] and `lengths` [batch] to `logits` [batch, frames, vocabulary] and `steps`.

    Raises:
        ExportError: the features are none that we can write, or torch cannot trace the network.
    """
    front = Graph(Storage(), FRONT)
    waveforms, lengths = front.input("waveforms", ("batch", "samples")), front.input("lengths", ("batch",), "int64")
    heard = front_end_of(model.speech.extractor)(front, waveforms, lengths, model.speech.extractor)
    front.output(heard.values, "front_values", heard.shape)
    links = [("front_values", "values")]
    model = copy.deepcopy(model).cpu()
    model.network.set_attn_implementation("eager")  # the only one that torch's exporter leaves free in time
    example = model.features(np.zeros(model.sample_rate_hz, np.float32))
    inputs: dict[str, Tensor | list[Tensor]]
    inputs = {"values": model.speech.batch([example, example], example.device).values}
    if model.pads:
        frames = front.count(front.size(heard.values, 1))
        inside = front.op("Less", frames, front.op("Unsqueeze", heard.counts, front.ints(1)))
        front.output(front.op("Cast", inside, to=TensorProto.INT64), "front_mask", heard.shape[:2], "int64")
        links.append(("front_mask", "mask"))
        inputs["mask"] = torch.ones(2, len(example), dtype=torch.long)
    network = trace(_Scores(model), inputs, ("logits", "steps"))
    return compose.merge_graphs(front.body(), network, links)


class _Scores(nn.Module):
    """The network as a function of its input and, where that may be padded, of what is valid there."""

    def __init__(self, model: HuggingFaceCtc) -> None:
        super().__init__()
        self.network, self.main_input = model.network, model.speech.main_input
        self.output_lengths = model.output_lengths

    def forward(self, values: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits [batch, frames, vocabulary] and valid frames [batch]."""
        if mask is None:
            logits = self.network(values).logits
            return logits, torch.full((logits.shape[0],), logits.shape[1])
        inputs = {self.main_input: values, "attention_mask": mask}
        return self.network(**inputs).logits, self.output_lengths(mask.sum(1))
