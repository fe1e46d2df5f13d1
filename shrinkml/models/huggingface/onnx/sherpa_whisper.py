"""A Whisper as sherpa-onnx opens it: encoder.onnx (its metadata tell the rest), decoder.onnx, tokens.txt.

sherpa-onnx makes the log-mel itself and hands the encoder what was spoken and some frames of zeros; here these become
the silence that the window is filled with in training. It passes keys and values of the encoder on as it gets them, and
keeps those of tokens [layers, batch, tokens, dims] in room for all. Tokens that are never written are ruled out in the
graph: sherpa-onnx knows none.

References:
    k2-fsa/sherpa-onnx: scripts/whisper/export-onnx.py, sherpa-onnx/csrc/offline-whisper-model.cc.
"""

import base64
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import compose

from shrinkml.errors import ExportError
from shrinkml.export.graph import Axes, Graph, Storage, as_model
from shrinkml.export.stock import PARTS, Layout
from shrinkml.models.huggingface.onnx.extractor_graph import WHISPER_FLOOR, WHISPER_RANGE, WHISPER_SCALE
from shrinkml.models.huggingface.onnx.generation import suppressed
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
from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq

PROGRAM, TOKENS = "sherpa-onnx", "tokens.txt"
NEVER = -1e9  # score of a token that is never written
KEYS, VALUES = "n_layer_cross_k", "n_layer_cross_v"
KEPT_KEYS, KEPT_VALUES = "n_layer_self_k_cache", "n_layer_self_v_cache"
INNER = "net."  # prefix of names in the network, which no other part has


def check(model: HuggingFaceSeq2Seq) -> None:
    """Raise where sherpa-onnx does not open something like `model`.

    Raises:
        ExportError: its features, prompt or generation are others than sherpa-onnx drives.
    """
    check_whisper(model, PROGRAM)
    if len(model.prompt) < 2 or any(len(choices) > 1 for choices in (model.prompt[0], *model.prompt[2:])):
        raise ExportError(
            f"the decoder's prompt is {model.prompt}; {PROGRAM} gives a start, perhaps a language and a task, and a "
            "last mark: set no_timestamps_token_id in generation_config.json"
        )


def arrange(model: HuggingFaceSeq2Seq, parts: PARTS, folder: Path, int8: bool) -> None:
    """Write encoder.onnx, decoder.onnx and tokens.txt to `folder`."""
    shape = shape_of(model)
    encoder = as_model(_encoder(shape, parts))
    onnx.helper.set_model_props(encoder, {name: str(value) for name, value in _metadata(model, shape).items()})
    onnx.save(encoder, folder / "encoder.onnx")
    onnx.save(as_model(_decoder(model, shape, parts)), folder / "decoder.onnx")
    (folder / TOKENS).write_text(_tokens(model), encoding="ascii")


SHERPA_WHISPER = Layout(check=check, draw=trace_networks, store=store_, arrange=arrange, mark=TOKENS)


def _encoder(shape: Shape, parts: PARTS) -> onnx.GraphProto:
    """From `mel` [batch, bins, frames] to keys and values [layers, batch, heads, positions, size]."""
    front = Graph(Storage(), "front.")
    mel = front.input("mel", ("batch", shape.bins, "frames"))
    front.output(_window(front, mel, shape), "front_values", ("batch", shape.bins, shape.frames))
    cross = compose.add_prefix_graph(parts[CROSS_NETWORK], f"{CROSS_NETWORK}.")
    graph = compose.merge_graphs(front.body(), parts[ENCODER], [("front_values", "values")])
    graph = compose.merge_graphs(graph, cross, [("hidden", f"{CROSS_NETWORK}.hidden")])
    tail, heads = Graph(Storage(), "tail."), ("batch", shape.heads, shape.positions, shape.head_dims)
    given = [tail.input(f"{CROSS}_{i}", heads) for i in range(2 * shape.layers)]
    for name, some in ((KEYS, given[::2]), (VALUES, given[1::2])):
        tail.output(_stacked(tail, some), name, (shape.layers, *heads))
    links = [(f"{CROSS_NETWORK}.{CROSS}.{i}", name) for i, name in enumerate(given)]
    return compose.merge_graphs(graph, tail.body(), links)


def _window(graph: Graph, mel: str, shape: Shape) -> str:
    """`mel` in a whole window [batch, bins, frames of it]: zeros at its end, and what is missing, are silence."""
    missing = graph.op("Max", graph.op("Sub", graph.ints(shape.frames), graph.size(mel, 2)), graph.ints(0))
    ends = graph.op("Concat", graph.ints(0, 0, 0, 0, 0), missing, axis=0)
    whole = graph.op("Slice", graph.op("Pad", mel, ends), graph.ints(0), graph.ints(shape.frames), graph.ints(2))
    sounds = graph.op("Cast", graph.op("ReduceMax", graph.op("Abs", whole), graph.ints(1)), to=onnx.TensorProto.BOOL)
    places = graph.count(graph.ints(shape.frames))
    last = graph.op("ReduceMax", graph.op("Where", sounds, places, graph.ints(-1)), graph.ints(2))
    # The least that is told apart from the loudest, both moved and divided as the features are.
    loudest = graph.op("ReduceMax", whole, graph.ints(1, 2))
    least = (np.log10(WHISPER_FLOOR) + WHISPER_SCALE) / WHISPER_SCALE
    quiet = graph.op("Sub", loudest, graph.constant(WHISPER_RANGE / WHISPER_SCALE))
    silence = graph.op("Max", quiet, graph.constant(least))
    return graph.op("Where", graph.op("Greater", places, last), silence, whole)


def _decoder(model: HuggingFaceSeq2Seq, shape: Shape, parts: PARTS) -> onnx.GraphProto:
    """From `tokens` [batch, n], room for keys and values, those of the encoder and `offset` [1] to scores."""
    head = Graph(Storage(), "head.")
    kept: Axes = (shape.layers, "batch", shape.tokens, shape.dims)
    heads: Axes = (shape.layers, "batch", shape.heads, shape.positions, shape.head_dims)
    tokens = head.input("tokens", ("batch", "n"), "int64")
    rooms = [head.input(f"in_{name}", kept) for name in (KEPT_KEYS, KEPT_VALUES)]
    cross = [head.input(name, heads) for name in (KEYS, VALUES)]
    offset = head.input("offset", (1,), "int64")
    head.output(tokens, "head_tokens", ("batch", "n"), "int64")
    head.output(offset, "head_offset", (1,), "int64")
    links = [("head_tokens", "tokens")]
    for i in range(2 * shape.layers):
        layer, which = divmod(i, 2)
        before = _past(head, rooms[which], layer, offset, shape)
        head.output(before, f"head_{PAST}_{i}", ("batch", shape.heads, "past", shape.head_dims))
        given = head.op("Gather", cross[which], head.constant(layer, "int64"), axis=0)
        head.output(given, f"head_{CROSS}_{i}", heads[1:])
        links += [(f"head_{PAST}_{i}", f"{PAST}.{i}"), (f"head_{CROSS}_{i}", f"{CROSS}.{i}")]
    decoder = compose.add_prefix_graph(parts[DECODER], INNER)
    graph = compose.merge_graphs(head.body(), decoder, [(ours, f"{INNER}{theirs}") for ours, theirs in links])
    links = [(f"{INNER}{NEXT}.{i}", f"tail_{NEXT}_{i}") for i in range(2 * shape.layers)]
    links += [(f"{INNER}logits", "tail_logits"), ("head_offset", "tail_offset")]
    return compose.merge_graphs(graph, _tail(model, shape).body(), links)


def _past(graph: Graph, room: str, layer: int, offset: str, shape: Shape) -> str:
    """[batch, heads, offset, size]: the part of `room` that is in use in `layer`."""
    one = graph.op("Gather", room, graph.constant(layer, "int64"), axis=0)
    used = graph.op("Slice", one, graph.ints(0), offset, graph.ints(1))
    split = graph.op("Reshape", used, _sizes(graph, used, shape.heads, shape.head_dims))
    return graph.op("Transpose", split, perm=[0, 2, 1, 3])


def _sizes(graph: Graph, states: str, *rest: int) -> str:
    """The first two sizes of `states`, and the `rest`."""
    return graph.op("Concat", graph.op("Shape", states, start=0, end=2), graph.ints(*rest), axis=0)


def _tail(model: HuggingFaceSeq2Seq, shape: Shape) -> Graph:
    """Scores without tokens that are never written; keys and values of all tokens, in their room."""
    graph = Graph(Storage(), "tail.")
    scores = graph.input("tail_logits", ("batch", "n", shape.vocabulary))
    offset = graph.input("tail_offset", (1,), "int64")
    given = [
        graph.input(f"tail_{NEXT}_{i}", ("batch", shape.heads, "all", shape.head_dims)) for i in range(2 * shape.layers)
    ]
    if never := suppressed(model, first=False):
        scores = graph.op("Add", scores, graph.constant(_ruled_out(never, shape)))
    if not_first := suppressed(model, first=True):
        is_first = graph.op("Equal", offset, graph.ints(0))
        out = graph.op("Where", is_first, graph.constant(_ruled_out(not_first, shape)), graph.constant(0.0))
        scores = graph.op("Add", scores, out)
    graph.output(scores, "logits", ("batch", "n", shape.vocabulary))
    for name, some in ((KEPT_KEYS, given[::2]), (KEPT_VALUES, given[1::2])):
        rows = [_roomy(graph, one, shape) for one in some]
        graph.output(_stacked(graph, rows), f"out_{name}", (shape.layers, "batch", shape.tokens, shape.dims))
    return graph


def _roomy(graph: Graph, heads: str, shape: Shape) -> str:
    """[batch, room, dims] of `heads` [batch, heads, tokens, size]."""
    rows = graph.op("Transpose", heads, perm=[0, 2, 1, 3])
    rows = graph.op("Reshape", rows, _sizes(graph, rows, shape.dims))
    missing = graph.op("Sub", graph.ints(shape.tokens), graph.size(rows, 1))
    return graph.op("Pad", rows, graph.op("Concat", graph.ints(0, 0, 0, 0), missing, graph.ints(0), axis=0))


def _stacked(graph: Graph, layers: Sequence[str]) -> str:
    return graph.op("Concat", *(graph.op("Unsqueeze", one, graph.ints(0)) for one in layers), axis=0)


def _ruled_out(tokens: Sequence[int], shape: Shape) -> np.ndarray:
    """[vocabulary]: NEVER for `tokens`."""
    scores = np.zeros(shape.vocabulary, np.float32)
    scores[list(tokens)] = NEVER
    return scores


def _metadata(model: HuggingFaceSeq2Seq, shape: Shape) -> dict[str, object]:
    """The metadata that sherpa-onnx reads in encoder.onnx."""
    config = model.network.generation_config
    tasks: dict[str, int] = getattr(config, "task_to_id", None) or {}
    languages: dict[str, int] = getattr(config, "lang_to_id", None) or {}
    detects = len(model.prompt[1]) > 1  # a model that was told its language is one of one language
    given = [choices[0] for choices in model.prompt]
    return {
        "model_type": "whisper-shrinkml",
        "version": 1,
        "maintainer": "shrinkml",
        "n_mels": shape.bins,
        "n_audio_ctx": shape.positions,
        "n_vocab": shape.vocabulary,
        "n_text_ctx": shape.tokens,
        "n_text_state": shape.dims,
        "n_text_head": shape.heads,
        "n_text_layer": shape.layers,
        "sot_sequence": ",".join(map(str, given[:-1])),
        "sot": given[0],
        "eot": model.end,
        "no_timestamps": given[-1],
        "blank_id": 0,
        "no_speech": 0,
        "transcribe": tasks.get("transcribe", 0),
        "translate": tasks.get("translate", 0),
        "is_multilingual": int(detects),
        "all_language_tokens": ",".join(map(str, languages.values())) if detects else "",
        "all_language_codes": ",".join(name.strip("<|>") for name in languages) if detects else "",
    }


def _tokens(model: HuggingFaceSeq2Seq) -> str:
    """A line for each token that is text: its bytes in base64, and its number."""
    pieces = model.text.pieces(model.network.config.vocab_size)
    rows = ((piece.encode("utf-8", "surrogateescape"), i) for i, piece in enumerate(pieces) if piece)
    return "".join(f"{base64.b64encode(piece).decode('ascii')} {i}\n" for piece, i in rows)
