"""A LAS as two ONNX graphs: the encoder hears waveforms, the decoder takes one step.

The encoder gives out what the decoder attends to (`states`, `keys`, `steps`), the most tokens to write (`limit`) and
the state that it starts from (`hidden`, `cell`, `context`); the decoder takes these but the limit, and a token, and
gives logits and the next state. The CTC head, which serves in training only, stays out.
"""

import math
from functools import partial

import onnx
from onnx import TensorProto

from shrinkml.compression.sites import find_layers
from shrinkml.export.drawn import Drawn, components
from shrinkml.export.graph import Graph, Storage
from shrinkml.export.layer_graph import embedding, linear, multiply
from shrinkml.export.log_mel_graph import frame_counts, log_mel, normalised, pad_end
from shrinkml.export.lstm_graph import layer_width, lstm_cell, lstm_layer
from shrinkml.export.recipe import DECODER, ENCODER, LIMIT
from shrinkml.models.las.las import Las
from shrinkml.models.trainable.trainable_recipe import recipe
from shrinkml.models.trainable.utterance_features import MIN_FRAMES, QUIETEST, SPREAD_EPSILON
from shrinkml.weights.forms import get_form

STATE = ("hidden", "cell", "context")
SCORES = "output.weight"  # the layer that makes them
UNUSED = "ctc.weight"


def draw(model: Las) -> Drawn:
    """The graphs of `model`."""
    return Drawn(recipe(model, STATE), components(layers(model), SCORES), partial(graphs, model))


def graphs(model: Las, storage: Storage) -> dict[str, onnx.ModelProto]:
    """Encoder and decoder."""
    return {ENCODER: encoder(model, storage).model(), DECODER: decoder(model, storage).model()}


def layers(model: Las) -> dict[str, list[str]]:
    """The layers in each of the graphs."""
    names = [layer.name for layer in find_layers(model) if layer.name != UNUSED]
    heard = [name for name in names if name.startswith(("encoder.", "key."))]
    return {ENCODER: heard, DECODER: [name for name in names if name not in heard]}


def encoder(model: Las, storage: Storage) -> Graph:
    """From `waveforms` [batch, samples] in [-1, 1] and their `lengths` [batch] in samples to what the decoder needs."""
    config = model.config
    graph = Graph(storage)
    waveforms = graph.input("waveforms", ("batch", "samples"))
    lengths = graph.input("lengths", ("batch",), "int64")
    counts = frame_counts(graph, lengths, config.sample_rate_hz)
    mel = log_mel(graph, waveforms, config.sample_rate_hz, config.n_mels, quietest=QUIETEST)
    mel, counts = normalised(graph, mel, counts, quietest=QUIETEST, least=MIN_FRAMES, epsilon=SPREAD_EPSILON)
    steps, counts = _stack(graph, mel, counts, config.n_mels, config.stack)
    width = config.n_mels * config.stack
    for index, (reduction, lstm) in enumerate(zip(config.reductions, model.encoder, strict=True)):
        if reduction > 1:
            steps, counts = _join(graph, steps, counts, width, reduction)
        steps = lstm_layer(graph, steps, counts, lstm, f"encoder.{index}")
        width = layer_width(lstm)
    states = graph.op("Transpose", steps, perm=[1, 0, 2])
    graph.output(states, "states", ("batch", "steps", width))
    graph.output(linear(graph, states, model.key, "key"), "keys", ("batch", "steps", config.decoder))
    graph.output(counts, "steps", ("batch",), "int64")
    graph.output(graph.op("Add", counts, graph.ints(1)), LIMIT, ("batch",), "int64")
    for name, units in _state_sizes(model).items():
        zeros = graph.op("Concat", graph.size(lengths, 0), graph.ints(units), axis=0)
        graph.output(graph.op("ConstantOfShape", zeros), name, ("batch", units))
    return graph


def decoder(model: Las, storage: Storage) -> Graph:
    """From a `token` [batch], the encoder's outputs and a state to `logits` [batch, vocabulary] and the next state."""
    config = model.config
    sizes = _state_sizes(model)
    graph = Graph(storage)
    token = graph.input("token", ("batch",), "int64")
    states = graph.input("states", ("batch", "steps", sizes["context"]))
    keys = graph.input("keys", ("batch", "steps", config.decoder))
    counts = graph.input("steps", ("batch",), "int64")
    hidden, cell, context = (graph.input(name, ("batch", units)) for name, units in sizes.items())
    heard = graph.op("Concat", embedding(graph, token, model.embedding, "embedding"), context, axis=1)
    hidden, cell = lstm_cell(graph, heard, (hidden, cell), model.cell, "cell")
    query = multiply(graph, hidden, get_form(model.query, "weight"), "query.weight")
    context = _attend(graph, query, keys, states, counts)
    read = linear(graph, graph.op("Concat", hidden, context, axis=1), model.readout, "readout")
    logits = linear(graph, graph.op("Tanh", read), model.output, "output")
    graph.output(logits, "logits", ("batch", len(model.tokenizer)))
    for (name, units), value in zip(sizes.items(), (hidden, cell, context), strict=True):
        graph.output(value, f"next_{name}", ("batch", units))
    return graph


def _state_sizes(model: Las) -> dict[str, int]:
    """The units of each part of the decoder's state that are left."""
    units = get_form(model.cell, "weight_hh").shape[1]
    return dict(zip(STATE, (units, units, layer_width(model.encoder[-1])), strict=True))


def _attend(graph: Graph, query: str, keys: str, states: str, counts: str) -> str:
    """[batch, 2 * units]: the states that `query` [batch, decoder] asks for."""
    last = graph.ints(2)
    n_units = graph.op("Cast", graph.size(query, 1), to=TensorProto.FLOAT)
    scores = graph.op("Squeeze", graph.op("MatMul", keys, graph.op("Unsqueeze", query, last)), last)
    inside = graph.op("Less", graph.count(graph.size(keys, 1)), graph.op("Unsqueeze", counts, graph.ints(1)))
    scores = graph.op("Where", inside, graph.op("Div", scores, graph.op("Sqrt", n_units)), graph.constant(-math.inf))
    weights = graph.op("Unsqueeze", graph.op("Softmax", scores, axis=1), graph.ints(1))
    return graph.op("Squeeze", graph.op("MatMul", weights, states), graph.ints(1))


def _stack(graph: Graph, mel: str, counts: str, n_mels: int, n: int) -> tuple[str, str]:
    """Every `n` frames of `mel` [batch, n_mels, frames] side by side: [steps, batch, n * n_mels], and their counts."""
    mel = _whole(graph, mel, n, axis=2)
    shape = graph.ints(0, n_mels, -1, n)
    parts = graph.op("Transpose", graph.op("Reshape", mel, shape), perm=[2, 0, 3, 1])
    return graph.op("Reshape", parts, graph.ints(0, 0, n * n_mels)), _ceil(graph, counts, n)


def _join(graph: Graph, steps: str, counts: str, width: int, n: int) -> tuple[str, str]:
    """Every `n` of `steps` [steps, batch, width] side by side, and their counts."""
    steps = _whole(graph, steps, n, axis=0)
    shape = graph.op("Concat", graph.ints(-1, n), graph.size(steps, 1), graph.ints(width), axis=0)
    parts = graph.op("Transpose", graph.op("Reshape", steps, shape), perm=[0, 2, 1, 3])
    return graph.op("Reshape", parts, graph.ints(0, 0, n * width)), _ceil(graph, counts, n)


def _whole(graph: Graph, x: str, n: int, *, axis: int) -> str:
    """`x`, of three axes, with zeros at the end of `axis` up to a multiple of `n`."""
    missing = graph.op("Mod", graph.op("Neg", graph.size(x, axis)), graph.ints(n))
    return pad_end(graph, x, missing, axis=axis, n_axes=3)


def _ceil(graph: Graph, counts: str, n: int) -> str:
    return graph.op("Div", graph.op("Add", counts, graph.ints(n - 1)), graph.ints(n))
