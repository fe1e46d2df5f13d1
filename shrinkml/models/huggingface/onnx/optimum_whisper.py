"""A Whisper as programs of Hugging Face for ONNX open it: optimum and transformers.js; onnx-asr one of many languages.

The graphs lie in onnx/: encoder_model.onnx, and decoder_model_merged.onnx, whose two branches hold the same weights:
without a cache it makes keys and values of the encoder's states, with one it is given them. In int8 their names end in
_quantized. Beside them lie the files that transformers knows a model by.

References:
    huggingface/optimum-onnx: optimum/exporters/onnx, optimum/onnxruntime/modeling_seq2seq.py.
    huggingface/transformers.js: src/models/modeling_utils.js.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import TensorProto, compose, helper

from shrinkml.export.graph import Axes, Graph, Storage, as_model
from shrinkml.export.stock import PARTS, Layout
from shrinkml.models.huggingface.onnx.traced_graph import store_
from shrinkml.models.huggingface.onnx.whisper_networks import (
    CROSS,
    CROSS_NETWORK,
    DECODER,
    ENCODER,
    NEXT,
    PAST,
    Shape,
    check_whisper,
    shape_of,
    trace_networks,
)
from shrinkml.models.huggingface.opening import write_files
from shrinkml.models.huggingface.quiet import quietly
from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq
from shrinkml.storage.model_folder import CONFIG

PROGRAM, GRAPHS = "optimum", "onnx"  # and the folder of the graphs
MADE, GIVEN = "made.", "given."  # prefixes of names in the branch that makes keys and values, and that is given them


def check(model: HuggingFaceSeq2Seq) -> None:
    """Raise where such programs do not open something like `model`.

    Raises:
        ExportError: it is no Whisper with OpenAI's features.
    """
    check_whisper(model, PROGRAM)


def arrange(model: HuggingFaceSeq2Seq, parts: PARTS, folder: Path, int8: bool) -> None:
    """Write the graphs, and the files of a model of transformers but its weights, to `folder`."""
    shape, suffix = shape_of(model), "_quantized" if int8 else ""
    (folder / GRAPHS).mkdir()
    onnx.save(as_model(_encoder(parts)), folder / GRAPHS / f"encoder_model{suffix}.onnx")
    onnx.save(as_model(_merged(shape, parts)), folder / GRAPHS / f"decoder_model_merged{suffix}.onnx")
    write_files(model, folder)
    with quietly():
        model.network.config.save_pretrained(folder)
    tokenizer = model.text.tokenizer  # onnx-asr reads these two
    added = tokenizer.get_added_vocab()
    plain = {token: i for token, i in tokenizer.get_vocab().items() if token not in added}
    for name, content in (("vocab.json", plain), ("added_tokens.json", added)):
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


OPTIMUM_WHISPER = Layout(check=check, draw=trace_networks, store=store_, arrange=arrange, mark=CONFIG)


def _encoder(parts: PARTS) -> onnx.GraphProto:
    """From `input_features` [batch, bins, frames] to `last_hidden_state` [batch, positions, dims]."""
    graph = onnx.GraphProto()
    graph.CopyFrom(parts[ENCODER])
    _rename_(graph, {"values": "input_features", "hidden": "last_hidden_state"})
    return graph


def _merged(shape: Shape, parts: PARTS) -> onnx.GraphProto:
    """The decoder in two branches, whose weights lie outside of both."""
    cross = compose.add_prefix_graph(parts[CROSS_NETWORK], f"{CROSS_NETWORK}.")
    outputs = _outputs(shape)
    branches = {"then_branch": _given(shape, parts[DECODER]), "else_branch": _made(shape, parts[DECODER], cross)}
    node = helper.make_node("If", ["use_cache_branch"], [value.name for value in outputs], **branches)
    weights = [*parts[DECODER].initializer, *cross.initializer]
    return helper.make_graph([node], "decoder", _inputs(shape), outputs, weights)


def _given(shape: Shape, decoder: onnx.GraphProto) -> onnx.GraphProto:
    """The branch that is given all keys and values; of those of the encoder it gives nothing out."""
    names = {"tokens": "input_ids"}
    names |= {f"{PAST}.{i}": _cache("past_key_values", i, "decoder") for i in range(2 * shape.layers)}
    names |= {f"{CROSS}.{i}": _cache("past_key_values", i, "encoder") for i in range(2 * shape.layers)}
    nothing = Graph(Storage(), f"{GIVEN}none.")
    heads = ("none", shape.heads, 1, shape.head_dims)
    for i in range(2 * shape.layers):
        made = nothing.op("ConstantOfShape", nothing.ints(0, shape.heads, 1, shape.head_dims))
        nothing.output(made, f"{GIVEN}{CROSS}.{i}", heads)
    return _branch(shape, GIVEN, [nothing.body()], _inside(decoder, GIVEN, names))


def _made(shape: Shape, decoder: onnx.GraphProto, cross: onnx.GraphProto) -> onnx.GraphProto:
    """The branch that makes keys and values of the encoder's states, and begins without any of tokens."""
    names = {"tokens": "input_ids"}
    names |= {f"{PAST}.{i}": f"{MADE}{PAST}.{i}" for i in range(2 * shape.layers)}
    names |= {f"{CROSS}.{i}": f"{MADE}{CROSS}.{i}" for i in range(2 * shape.layers)}
    nothing = Graph(Storage(), f"{MADE}none.")
    size = nothing.op("Shape", "input_ids", start=0, end=1)
    empty = nothing.op("Concat", size, nothing.ints(shape.heads, 0, shape.head_dims), axis=0)
    for i in range(2 * shape.layers):
        made = nothing.op("ConstantOfShape", empty)
        nothing.output(made, f"{MADE}{PAST}.{i}", ("batch", shape.heads, 0, shape.head_dims))
    keys = {f"{CROSS_NETWORK}.hidden": "encoder_hidden_states"}
    keys |= {f"{CROSS_NETWORK}.{CROSS}.{i}": f"{MADE}{CROSS}.{i}" for i in range(2 * shape.layers)}
    return _branch(shape, MADE, [nothing.body(), _inside(cross, MADE, keys)], _inside(decoder, MADE, names))


def _branch(shape: Shape, prefix: str, before: list[onnx.GraphProto], decoder: onnx.GraphProto) -> onnx.GraphProto:
    """The nodes of `before` and of `decoder`, which give out what the merged graph does."""
    own, crossed = ([f"{prefix}{kind}.{i}" for i in range(2 * shape.layers)] for kind in (NEXT, CROSS))
    order = [f"{prefix}logits", *_in_turn(own, crossed)]
    outputs = _outputs(shape, prefix)
    nodes = [node for graph in (*before, decoder) for node in graph.node]
    nodes += [helper.make_node("Identity", [name], [out.name]) for name, out in zip(order, outputs, strict=True)]
    constants = [tensor for graph in before for tensor in graph.initializer if tensor.name.startswith(f"{prefix}none.")]
    return helper.make_graph(nodes, f"{prefix}branch", [], outputs, constants)


def _inside(graph: onnx.GraphProto, prefix: str, names: Mapping[str, str]) -> onnx.GraphProto:
    """`graph` as part of a branch: called by `names` from outside, its weights by their own, all else prefixed."""
    part = onnx.GraphProto()
    part.CopyFrom(graph)
    weights = {tensor.name for tensor in graph.initializer}
    inner = {name for node in graph.node for name in node.output}
    _rename_(part, {name: f"{prefix}{name}" for name in inner if name not in names and name not in weights} | {**names})
    for node in part.node:
        node.name = f"{prefix}{node.name}" if node.name else ""
    return part


def _rename_(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Calls values of `graph` by other `names`."""
    for node in graph.node:
        for places in (node.input, node.output):
            for i, name in enumerate(places):
                places[i] = names.get(name, name)
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)


def _inputs(shape: Shape) -> list[onnx.ValueInfoProto]:
    """Of the merged decoder, in the order of optimum's."""
    rooms = {"decoder": ("batch", shape.heads, "past", shape.head_dims)}
    rooms["encoder"] = ("batch", shape.heads, "given", shape.head_dims)
    return [
        _value("input_ids", ("batch", "tokens"), TensorProto.INT64),
        _value("encoder_hidden_states", ("batch", "positions", shape.dims)),
        *(_value(_cache("past_key_values", i, part), rooms[part]) for i, part in _places(shape)),
        _value("use_cache_branch", (1,), TensorProto.BOOL),
    ]


def _places(shape: Shape) -> list[tuple[int, str]]:
    """Places of keys and values in turn, and whose they are: in the order of optimum's names."""
    parts = ("decoder", "encoder")
    return [(2 * layer + i, part) for layer in range(shape.layers) for part in parts for i in range(2)]


def _outputs(shape: Shape, prefix: str = "") -> list[onnx.ValueInfoProto]:
    heads = ("out", shape.heads, "all", shape.head_dims)
    names = [_cache("present", i, part) for i, part in _places(shape)]
    logits = _value(f"{prefix}out.logits" if prefix else "logits", ("batch", "tokens", shape.vocabulary))
    return [logits, *(_value(f"{prefix}{name}", heads) for name in names)]


def _in_turn(own: list[str], crossed: list[str]) -> list[str]:
    """Keys and values of each layer, of tokens and of the encoder."""
    pairs = [(own[i : i + 2], crossed[i : i + 2]) for i in range(0, len(own), 2)]
    return [name for one, other in pairs for name in (*one, *other)]


def _cache(kind: str, i: int, part: str) -> str:
    """Name by optimum of the `i`-th of keys and values in turn."""
    return f"{kind}.{i // 2}.{part}.{('key', 'value')[i % 2]}"


def _value(name: str, shape: Axes, dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)
