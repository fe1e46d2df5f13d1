"""A Transformer as two ONNX graphs: the encoder hears waveforms, the decoder takes one step.

The encoder gives out the keys and values that the decoder's layers attend to (`cross.0`, ...), their `steps`, the most
tokens to write (`limit`), and keys and values of no past tokens (`past.0`, ...); the decoder takes these but the limit,
and a token, and gives logits and the keys and values of one more token. The CTC layer, which serves in training only,
stays out.
"""

from functools import partial

import onnx

from shrinkml.compression.dropping.absent import Absent
from shrinkml.compression.sites import find_layers
from shrinkml.export.drawn import Drawn, components
from shrinkml.export.graph import Graph, Storage
from shrinkml.export.integers.rounding_nodes import rounded
from shrinkml.export.layer_graph import convolution, embedding, linear
from shrinkml.export.log_mel_graph import frame_counts, log_mel, normalised
from shrinkml.export.recipe import DECODER, ENCODER, LIMIT
from shrinkml.models.trainable.trainable_recipe import recipe
from shrinkml.models.trainable.utterance_features import MIN_FRAMES, QUIETEST, SPREAD_EPSILON
from shrinkml.models.transformer.block_graph import (
    KnownNames,
    attend,
    feed_forward,
    joined,
    memory_block,
    norm,
    only,
    remember,
    with_positions,
    within,
)
from shrinkml.models.transformer.subsampling import Subsampling
from shrinkml.models.transformer.transformer import Transformer
from shrinkml.models.transformer.transformer_decoder import DecoderLayer
from shrinkml.models.transformer.transformer_encoder import PLACED, EncoderLayer

SCORES = "output.weight"  # the layer that makes them
UNUSED = "ctc.weight"
PAST, CROSS = "past", "cross"


def draw(model: Transformer) -> Drawn:
    """The graphs of `model`."""
    return Drawn(recipe(model, _names(model, PAST)), components(layers(model), SCORES), partial(graphs, model))


def graphs(model: Transformer, storage: Storage) -> dict[str, onnx.ModelProto]:
    """Encoder and decoder."""
    return {ENCODER: encoder(model, storage).model(), DECODER: decoder(model, storage).model()}


def layers(model: Transformer) -> dict[str, list[str]]:
    """The layers in each of the graphs."""
    names = [layer.name for layer in find_layers(model) if layer.name != UNUSED]
    heard = [name for name in names if name.startswith("encoder.") or ".cross.key." in name or ".cross.value." in name]
    return {ENCODER: heard, DECODER: [name for name in names if name not in heard]}


def encoder(model: Transformer, storage: Storage) -> Graph:
    """From `waveforms` [batch, samples] in [-1, 1] and their `lengths` [batch] in samples to what the decoder needs."""
    config, network = model.config, model.encoder
    graph = Graph(storage)
    waveforms = graph.input("waveforms", ("batch", "samples"))
    lengths = graph.input("lengths", ("batch",), "int64")
    counts = frame_counts(graph, lengths, config.sample_rate_hz)
    mel = log_mel(graph, waveforms, config.sample_rate_hz, config.n_mels, quietest=QUIETEST)
    mel, counts = normalised(graph, mel, counts, quietest=QUIETEST, least=MIN_FRAMES, epsilon=SPREAD_EPSILON)
    frames = graph.op("Transpose", mel, perm=[0, 2, 1])
    states, counts = _subsampled(graph, frames, counts, network.subsampling)
    if network.positions:
        states = with_positions(graph, states, config.hidden)
    states = rounded(graph, states, network, PLACED)
    inside = within(graph, counts, states)
    for place in network.places:
        layer = network.layers[place]
        assert isinstance(layer, EncoderLayer)
        states = _encoder_layer(graph, states, inside, layer, f"encoder.layers.{place}")
    states = norm(graph, states, network.norm)
    _give_out_cross(graph, model, states)
    graph.output(counts, "steps", ("batch",), "int64")
    graph.output(graph.op("Add", counts, graph.ints(1)), LIMIT, ("batch",), "int64")
    _, heads, _, size = _axes(model, 0)
    nothing = graph.op("Concat", graph.size(lengths, 0), graph.ints(heads, 0, size), axis=0)
    for name in _names(model, PAST):
        graph.output(graph.op("ConstantOfShape", nothing), name, _axes(model, 0))
    return graph


def decoder(model: Transformer, storage: Storage) -> Graph:
    """From a `token` [batch], the encoder's outputs and a state to `logits` [batch, vocabulary] and the next state."""
    network, graph = model.decoder, Graph(storage)
    token = graph.input("token", ("batch",), "int64")
    cross = [graph.input(name, _axes(model, "steps")) for name in _names(model, CROSS)]
    counts = graph.input("steps", ("batch",), "int64")
    past = [graph.input(name, _axes(model, "tokens")) for name in _names(model, PAST)]
    states = graph.op("Unsqueeze", embedding(graph, token, network.embedding, "decoder.embedding"), graph.ints(1))
    if network.positions:
        states = with_positions(graph, states, model.config.hidden, graph.size(past[0], 2))
    states = rounded(graph, states, network, PLACED)
    inside = graph.op("Less", graph.count(graph.size(cross[0], 2)), graph.op("Unsqueeze", counts, graph.ints(1)))
    after: list[str] = []
    for i, layer in enumerate(network.layers):
        assert isinstance(layer, DecoderLayer)
        before, heard = _pair(past, i), _pair(cross, i)
        states, known = _decoder_layer(graph, states, before, heard, inside, layer, f"decoder.layers.{i}")
        after += known
    said = graph.op("Squeeze", norm(graph, states, network.norm), graph.ints(1))
    graph.output(linear(graph, said, model.output, "output"), "logits", ("batch", len(model.tokenizer)))
    for name, value in zip(_names(model, PAST), after, strict=True):
        graph.output(value, f"next_{name}", _axes(model, "tokens_after"))
    return graph


def _subsampled(graph: Graph, frames: str, counts: str, front: Subsampling) -> tuple[str, str]:
    """The steps [batch, steps, hidden] of `frames` [batch, frames, n_mels], and how many count [batch]."""
    for i, (reduction, module) in enumerate(zip(front.reductions, front.convolutions, strict=True)):
        counts = graph.op("Div", graph.op("Add", counts, graph.ints(reduction - 1)), graph.ints(reduction))
        steps = graph.op("Relu", convolution(graph, frames, module, f"encoder.subsampling.convolutions.{i}"))
        frames = only(graph, steps, within(graph, counts, steps))
    return linear(graph, frames, front.projection, "encoder.subsampling.projection"), counts


def _encoder_layer(graph: Graph, states: str, inside: str, layer: EncoderLayer, name: str) -> str:
    normed = norm(graph, states, layer.attention_norm)
    known = remember(graph, normed, layer.attention, f"{name}.attention")
    found = attend(graph, normed, known, layer.attention, f"{name}.attention", inside)
    if layer.memory is not None:
        found = graph.op("Add", found, memory_block(graph, joined(graph, known[1]), inside, layer.memory))
    return _fed_forward(graph, graph.op("Add", states, found), layer, name)


def _decoder_layer(
    graph: Graph, states: str, past: KnownNames, heard: KnownNames, inside: str, layer: DecoderLayer, name: str
) -> tuple[str, KnownNames]:
    """The states of one more token, and the keys and values of all tokens so far."""
    normed = norm(graph, states, layer.attention_norm)
    now = remember(graph, normed, layer.attention, f"{name}.attention")
    keys, values = (graph.op("Concat", *both, axis=2) for both in zip(past, now, strict=True))
    states = graph.op("Add", states, attend(graph, normed, (keys, values), layer.attention, f"{name}.attention"))
    normed = norm(graph, states, layer.cross_norm)
    states = graph.op("Add", states, attend(graph, normed, heard, layer.cross, f"{name}.cross", inside))
    return _fed_forward(graph, states, layer, name), (keys, values)


def _fed_forward(graph: Graph, states: str, layer: EncoderLayer | DecoderLayer, name: str) -> str:
    """`states` and what the feed-forward block makes of them, unless that was dropped."""
    if isinstance(layer.feed_forward, Absent):
        return states
    normed = norm(graph, states, layer.feed_forward_norm)
    return graph.op("Add", states, feed_forward(graph, normed, layer.feed_forward, f"{name}.feed_forward"))


def _give_out_cross(graph: Graph, model: Transformer, states: str) -> None:
    """Gives out the keys and values that each of the decoder's layers attends to."""
    names = iter(_names(model, CROSS))
    for i, layer in enumerate(model.decoder.layers):
        assert isinstance(layer, DecoderLayer)
        for value in remember(graph, states, layer.cross, f"decoder.layers.{i}.cross"):
            graph.output(value, next(names), _axes(model, "steps"))


def _names(model: Transformer, kind: str) -> tuple[str, ...]:
    """Names of the keys and values of each of the decoder's layers in turn."""
    return tuple(f"{kind}.{i}" for i in range(2 * model.config.decoder_layers))


def _axes(model: Transformer, steps: int | str) -> tuple[str, int, int | str, int]:
    """The axes of such keys or values."""
    config = model.config
    return "batch", config.heads, steps, config.hidden // config.heads


def _pair(names: list[str], layer: int) -> KnownNames:
    """Keys and values of a layer."""
    return names[2 * layer], names[2 * layer + 1]
