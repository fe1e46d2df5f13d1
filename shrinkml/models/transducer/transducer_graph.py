"""A transducer as two ONNX graphs, of the pass that looks ahead (the streaming one, where there is no other).

They are driven like any encoder and decoder. The decoder is given every token that it wrote, blanks included: a label
goes into its prediction network, a blank leads to the next step of the encoder, and `<end>`, its prompt, to the first
step. Behind the last step it says `<end>`, whatever it was told, and behind as many labels as one step may have, the
blank.
"""

from functools import partial

import numpy as np
import onnx
from onnx import TensorProto

from shrinkml.compression.sites import find_layers
from shrinkml.export.drawn import Drawn, components
from shrinkml.export.graph import Graph, Storage
from shrinkml.export.layer_graph import linear
from shrinkml.export.log_mel_graph import before, frame_counts, log_mel, mirrored, pad_end
from shrinkml.export.lstm_graph import layer_width, lstm_layer
from shrinkml.export.recipe import DECODER, ENCODER, LIMIT
from shrinkml.models.tokenizer import BLANK, END
from shrinkml.models.trainable.trainable_recipe import recipe
from shrinkml.models.transducer.greedy_decoding import MOST_PER_STEP, begin
from shrinkml.models.transducer.prediction_graph import PREDICTIONS
from shrinkml.models.transducer.transducer import LEVEL, QUIETEST, SPREAD, Transducer
from shrinkml.speech.features import CENTRED

SCORES = "output.weight"  # the layer that makes them
PLACE = ("step", "said")  # of the decoder: the encoder's step, and the labels that were said there
FORCED = 1e9  # logit of the only token that may come


def draw(model: Transducer) -> Drawn:
    """The graphs of `model`."""
    return Drawn(
        recipe(model, (*_states(model), *PLACE), blank=BLANK), components(layers(model), SCORES), partial(graphs, model)
    )


def graphs(model: Transducer, storage: Storage) -> dict[str, onnx.ModelProto]:
    """Encoder and decoder."""
    return {ENCODER: encoder(model, storage).model(), DECODER: decoder(model, storage).model()}


def layers(model: Transducer) -> dict[str, list[str]]:
    """The layers in each of the graphs."""
    names = [layer.name for layer in find_layers(model)]
    heard = [name for name in names if name.startswith(("causal.", "look_ahead.", "encoded."))]
    return {ENCODER: heard, DECODER: [name for name in names if name not in heard]}


def encoder(model: Transducer, storage: Storage) -> Graph:
    """From `waveforms` [batch, samples] in [-1, 1] and their `lengths` [batch] in samples to what the decoder needs."""
    config = model.config
    graph = Graph(storage)
    waveforms = graph.input("waveforms", ("batch", "samples"))
    lengths = graph.input("lengths", ("batch",), "int64")
    counts = frame_counts(graph, lengths, config.sample_rate_hz, CENTRED)
    waveforms = mirrored(graph, waveforms, lengths, config.sample_rate_hz)
    mel = log_mel(graph, waveforms, config.sample_rate_hz, config.n_mels, quietest=QUIETEST, framing=CENTRED)
    mel = graph.op("Div", graph.op("Sub", mel, graph.constant(LEVEL)), graph.constant(SPREAD))
    mel = graph.op("Where", before(graph, mel, counts), mel, graph.constant(0.0))
    states, counts = encode(graph, model, graph.op("Transpose", mel, perm=[2, 0, 1]), counts)
    encoded = linear(graph, graph.op("Transpose", states, perm=[1, 0, 2]), model.encoded, "encoded")
    graph.output(encoded, "encoded", ("batch", "steps", config.joint))
    graph.output(counts, "steps", ("batch",), "int64")
    most = graph.op("Mul", counts, graph.ints(MOST_PER_STEP + 1))
    graph.output(graph.op("Add", most, graph.ints(1)), LIMIT, ("batch",), "int64")
    batch = graph.size(lengths, 0)
    for name, start in _states(model).items():
        first = graph.constant(start, str(start.dtype))
        graph.output(_repeated(graph, first, batch), name, ("batch", len(start)), str(start.dtype))
    for name in PLACE:
        zero = graph.constant(np.zeros(1), "int64")
        graph.output(graph.op("Expand", zero, batch), name, ("batch",), "int64")
    return graph


def encode(graph: Graph, model: Transducer, frames: str, counts: str) -> tuple[str, str]:
    """The best pass's states [steps, batch, hidden] of `frames` [frames, batch, n_mels], and their counts [batch]."""
    causal = model.causal
    missing = graph.op("Mod", graph.op("Neg", graph.size(frames, 0)), graph.ints(causal.frames_per_step))
    steps = pad_end(graph, frames, missing, axis=0, n_axes=3)
    n, one = graph.ints(causal.frames_per_step), graph.ints(1)
    counts = graph.op("Div", graph.op("Sub", graph.op("Add", counts, n), one), n)
    width, left = model.config.n_mels, causal.frames_per_step
    for index, (reduction, lstm) in enumerate(zip(causal.reductions, causal.layers, strict=True)):
        joined = reduction * (causal.stack if index == 0 else 1)
        steps = join(graph, steps, width, joined)
        width, left = layer_width(lstm), left // joined
        steps = lstm_layer(graph, steps, graph.op("Mul", counts, graph.ints(left)), lstm, f"causal.layers.{index}")
    if model.look_ahead is not None:
        seen = lstm_layer(graph, steps, counts, model.look_ahead.lstm, "look_ahead.lstm")
        steps = graph.op("Add", steps, linear(graph, seen, model.look_ahead.narrow, "look_ahead.narrow"))
    return steps, counts


def decoder(model: Transducer, storage: Storage) -> Graph:
    """From a `token` [batch], the encoder's outputs and a state to `logits` [batch, vocabulary] and the next state."""
    config = model.config
    graph = Graph(storage)
    token = graph.input("token", ("batch",), "int64")
    encoded = graph.input("encoded", ("batch", "steps", config.joint))
    counts = graph.input("steps", ("batch",), "int64")
    states = {
        name: graph.input(name, ("batch", len(start)), str(start.dtype)) for name, start in _states(model).items()
    }
    step, said = (graph.input(name, ("batch",), "int64") for name in PLACE)
    is_label = graph.op("Greater", token, graph.ints(END))
    is_blank = graph.op("Cast", graph.op("Equal", token, graph.ints(BLANK)), to=TensorProto.INT64)
    zero, one, last = graph.ints(0), graph.ints(1), graph.ints(-1)
    network = PREDICTIONS[config.prediction]
    found = network.follow(graph, model.prediction, graph.op("Max", token, zero), states)
    row = graph.op("Unsqueeze", is_label, last)
    states = {name: graph.op("Where", row, found[name], before) for name, before in states.items()}
    is_start = graph.op("Equal", token, graph.ints(END))
    step = graph.op("Where", is_start, zero, graph.op("Add", step, is_blank))
    said = graph.op("Where", is_label, graph.op("Add", said, one), zero)
    at = graph.op("Unsqueeze", graph.op("Min", step, graph.op("Sub", counts, one)), last)
    heard = graph.op("GatherND", encoded, at, batch_dims=1)
    joined = graph.op("Tanh", graph.op("Add", heard, network.output(graph, model.prediction, states)))
    logits = linear(graph, joined, model.output, "output")
    logits = _forced(graph, logits, BLANK, where=graph.op("Less", graph.ints(MOST_PER_STEP - 1), said))
    logits = _forced(graph, logits, END, where=graph.op("LessOrEqual", counts, step))
    graph.output(logits, "logits", ("batch", len(model.tokenizer)))
    for name, value in states.items():
        start = _states(model)[name]
        graph.output(value, f"next_{name}", ("batch", len(start)), str(start.dtype))
    for name, value in zip(PLACE, (step, said), strict=True):
        graph.output(value, f"next_{name}", ("batch",), "int64")
    return graph


def _forced(graph: Graph, logits: str, token: int, *, where: str) -> str:
    """`logits` [batch, vocabulary], in rows `where` [batch] of `token` alone."""
    only = np.zeros(token + 1)
    only[token] = FORCED
    rest = graph.op("Sub", graph.size(logits, 1), graph.ints(token + 1))
    alone = pad_end(graph, graph.constant(only), rest, axis=0, n_axes=1)
    return graph.op("Where", graph.op("Unsqueeze", where, graph.ints(-1)), alone, logits)


def join(graph: Graph, steps: str, width: int, n: int) -> str:
    """Every `n` of `steps` [steps * n, batch, width] side by side."""
    shape = graph.op("Concat", graph.ints(-1, n), graph.size(steps, 1), graph.ints(width), axis=0)
    parts = graph.op("Transpose", graph.op("Reshape", steps, shape), perm=[0, 2, 1, 3])
    return graph.op("Reshape", parts, graph.ints(0, 0, n * width))


def _repeated(graph: Graph, row: str, batch: str) -> str:
    """`row` [n] for each of `batch` [1] utterances."""
    return graph.op("Expand", row, graph.op("Concat", batch, graph.size(row, 0), axis=0))


def _states(model: Transducer) -> dict[str, np.ndarray]:
    """The state of the prediction network before the first label: name -> numbers."""
    memory = begin(model.prediction, 1)
    names = PREDICTIONS[model.config.prediction].states
    return {name: part[0].detach().cpu().numpy() for name, part in zip(names, memory.state, strict=True)}
