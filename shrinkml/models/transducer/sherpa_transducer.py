"""A transducer as sherpa-onnx opens it: encoder.onnx, decoder.onnx, joiner.onnx and tokens.txt.

encoder.onnx is of the pass that looks ahead, for sherpa-onnx's offline recogniser; encoder-streaming.onnx, one step at
a time with the states of its LSTMs, is for its online one. Decoder and joiner serve both. sherpa-onnx makes the log-mel
energies, of samples in [-1, 1], and stands for labels that were never said by -1, before the blank. Of each step it
writes one label at most, where ours may write several: transcripts are equal where no step says two words.

References:
    k2-fsa/sherpa-onnx: csrc/offline-transducer-model.cc, csrc/online-lstm-transducer-model.cc,
    csrc/offline-transducer-greedy-search-decoder.cc.
"""

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shrinkml.errors import ExportError
from shrinkml.export.graph import Graph, Storage, as_model, half_of
from shrinkml.export.layer_graph import linear
from shrinkml.export.log_mel_graph import before, pad_end
from shrinkml.export.lstm_graph import layer_width, lstm_cell
from shrinkml.export.stock import PARTS, Layout
from shrinkml.models.transducer.prediction import TiedReducedPrediction
from shrinkml.models.transducer.prediction_graph import behind
from shrinkml.models.transducer.transducer import LEVEL, QUIETEST, SPREAD, Transducer
from shrinkml.models.transducer.transducer_graph import encode, join
from shrinkml.speech.features import PCM16_SCALE

ENCODER, STREAMING, DECODER, JOINER = "encoder", "encoder-streaming", "decoder", "joiner"  # files, ending in .onnx
TOKENS = "tokens.txt"
LOUDER = 2 * math.log(PCM16_SCALE)  # our log energies are of 16-bit samples
SPACE = "▁"  # before a word, in tokens.txt


def check(model: Transducer) -> None:
    """Raise where sherpa-onnx does not open something like `model`.

    Raises:
        ExportError: its decoder remembers more than a number of labels.
    """
    if model.config.prediction != "tied":
        raise ExportError(
            f"prediction is {model.config.prediction!r}; sherpa-onnx's decoders know the last labels alone: train one "
            "with prediction: tied (configs/train/tied.yaml)"
        )


def draw(model: Transducer) -> PARTS:
    """The four graphs."""
    graphs = {ENCODER: _encoder(model), STREAMING: _streaming(model), DECODER: _decoder(model), JOINER: _joiner(model)}
    return {name: graph.body() for name, graph in graphs.items()}


def store(graph: onnx.GraphProto, storage: Storage) -> None:
    """Halve the weights of `graph`, where that changes none; int8 is the quantizer's."""
    for tensor in [one for one in graph.initializer if storage.half and not storage.int8]:
        narrow = half_of(numpy_helper.to_array(tensor)) if tensor.data_type == TensorProto.FLOAT else None
        if narrow is not None:
            graph.initializer.remove(tensor)
            graph.initializer.append(numpy_helper.from_array(narrow, f"{tensor.name}.narrow"))
            cast = helper.make_node("Cast", [f"{tensor.name}.narrow"], [tensor.name], to=TensorProto.FLOAT)
            graph.node.insert(0, cast)


def arrange(model: Transducer, parts: PARTS, folder: Path, int8: bool) -> None:
    """Write the graphs and tokens.txt to `folder`."""
    config = model.config
    decoding: dict[str, object] = {
        "vocab_size": len(model.tokenizer),
        "context_size": config.context,
        "joiner_dim": config.joint,
    }
    shift = model.causal.frames_per_step
    known: dict[str, dict[str, object]] = {
        ENCODER: {"model_type": "conformer"},
        STREAMING: {
            "model_type": "lstm",
            "num_encoder_layers": len(config.reductions),
            "T": shift,
            "decode_chunk_len": shift,
            "rnn_hidden_size": config.hidden,
            "d_model": config.hidden,
            **decoding,
        },
        DECODER: decoding,
        JOINER: decoding,
    }
    for name, part in parts.items():
        graph = as_model(part)
        helper.set_model_props(graph, {key: str(value) for key, value in known[name].items()})
        onnx.save(graph, folder / f"{name}.onnx")
    start = SPACE if model.tokenizer.unit == "word" else ""
    rows = [f"{start if i > 2 else ''}{_text(token)} {i}\n" for i, token in enumerate(model.tokenizer.vocabulary)]
    (folder / TOKENS).write_text("".join(rows), encoding="utf-8")


SHERPA_TRANSDUCER = Layout(check=check, draw=draw, store=store, arrange=arrange, mark=TOKENS)


def _text(token: str) -> str:
    """`token` as tokens.txt has it: blank first, and no space."""
    return {"<blank>": "<blk>", " ": SPACE}.get(token, token)


def _encoder(model: Transducer) -> Graph:
    """From `x` [batch, frames, n_mels] and `x_lens` to encodings [batch, steps, joint] and their numbers."""
    config, graph = model.config, Graph(Storage())
    x = graph.input("x", ("batch", "frames", config.n_mels))
    counts = graph.input("x_lens", ("batch",), "int64")
    mel = graph.op("Transpose", _scaled(graph, x), perm=[0, 2, 1])
    mel = graph.op("Where", before(graph, mel, counts), mel, graph.constant(0.0))
    states, counts = encode(graph, model, graph.op("Transpose", mel, perm=[2, 0, 1]), counts)
    encoded = linear(graph, graph.op("Transpose", states, perm=[1, 0, 2]), model.encoded, "encoded")
    graph.output(encoded, "encoder_out", ("batch", "steps", config.joint))
    graph.output(counts, "encoder_out_lens", ("batch",), "int64")
    return graph


def _streaming(model: Transducer) -> Graph:
    """One step: from `x` [batch, frames of it, n_mels], `h` and `c` [layers, batch, hidden] to an encoding and both."""
    config, graph, causal = model.config, Graph(Storage()), model.causal
    n_layers, frames = len(config.reductions), causal.frames_per_step
    x = graph.input("x", ("batch", frames, config.n_mels))
    h, c = (graph.input(name, (n_layers, "batch", config.hidden)) for name in ("h", "c"))
    steps = graph.op("Transpose", _scaled(graph, x), perm=[1, 0, 2])
    width, after = config.n_mels, []
    for index, (reduction, lstm) in enumerate(zip(causal.reductions, causal.layers, strict=True)):
        joined = reduction * (causal.stack if index == 0 else 1)
        steps, frames = join(graph, steps, width, joined), frames // joined
        before = (_first(graph, _row(graph, part, index), layer_width(lstm)) for part in (h, c))
        state = next(before), next(before)
        outputs = []
        for step in range(frames):
            name = f"causal.layers.{index}{f'.{step}' if step else ''}"  # an operator's name stands once
            state = lstm_cell(graph, _row(graph, steps, step), state, lstm, name, "_l0")
            outputs.append(graph.op("Unsqueeze", state[0], graph.ints(0)))
        steps, width = graph.op("Concat", *outputs, axis=0), layer_width(lstm)
        n_cut = graph.ints(config.hidden - width)
        wide = (pad_end(graph, part, n_cut, axis=1, n_axes=2) for part in state)
        after.append([graph.op("Unsqueeze", part, graph.ints(0)) for part in wide])
    encoded = linear(graph, graph.op("Transpose", steps, perm=[1, 0, 2]), model.encoded, "encoded")
    graph.output(encoded, "encoder_out", ("batch", 1, config.joint))
    for name, parts in zip(("next_h", "next_c"), zip(*after, strict=True), strict=True):
        graph.output(graph.op("Concat", *parts, axis=0), name, (n_layers, "batch", config.hidden))
    return graph


def _first(graph: Graph, state: str, n: int) -> str:
    """The first `n` units of `state` [batch, hidden]; behind those that are left of a layer there are zeros."""
    return graph.op("Slice", state, graph.ints(0), graph.ints(n), graph.ints(1))


def _decoder(model: Transducer) -> Graph:
    """From the last labels `y` [batch, context], -1 where there was none, to the network's output [batch, joint]."""
    graph, network = Graph(Storage()), model.prediction
    assert isinstance(network, TiedReducedPrediction), "`check` lets no other pass"
    y = graph.input("y", ("batch", network.context), "int64")
    graph.output(behind(graph, network, y), "decoder_out", ("batch", model.config.joint))
    return graph


def _joiner(model: Transducer) -> Graph:
    """From an encoding and an output of the decoder, [batch, joint] each, to logits [batch, vocabulary]."""
    graph, width = Graph(Storage()), model.config.joint
    encoded, predicted = (graph.input(name, ("batch", width)) for name in ("encoder_out", "decoder_out"))
    joined = graph.op("Tanh", graph.op("Add", encoded, predicted))
    graph.output(linear(graph, joined, model.output, "output"), "logit", ("batch", len(model.tokenizer)))
    return graph


def _scaled(graph: Graph, x: str) -> str:
    """`x`, log energies of samples in [-1, 1], as `Transducer.features` gives them."""
    loud = graph.op("Max", graph.op("Add", x, graph.constant(LOUDER)), graph.constant(np.float32(QUIETEST)))
    return graph.op("Div", graph.op("Sub", loud, graph.constant(LEVEL)), graph.constant(SPREAD))


def _row(graph: Graph, x: str, index: int) -> str:
    return graph.op("Gather", x, graph.constant(index, "int64"), axis=0)
