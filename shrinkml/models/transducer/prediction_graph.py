"""The prediction networks of transducers as ONNX operators: the state behind a label, and the output of a state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from onnx import TensorProto

from shrinkml.export.graph import Graph
from shrinkml.export.layer_graph import array, embedding, linear
from shrinkml.export.lstm_graph import lstm_cell
from shrinkml.models.transducer.prediction import START, LstmPrediction, TiedReducedPrediction

States = dict[str, str]  # name of a state -> value in the graph
NAME = "prediction"  # of the network in its model


@dataclass(frozen=True, slots=True)
class PredictionGraph:
    """One kind of prediction network.

    Attributes:
        states: names of its state.
        follow: graph, network, label [batch], state -> the state behind the label.
        output: graph, network, state -> its output [batch, joint].
    """

    states: tuple[str, ...]
    follow: Callable[[Graph, Any, str, Mapping[str, str]], States]
    output: Callable[[Graph, Any, Mapping[str, str]], str]


def _lstm_follow(graph: Graph, network: LstmPrediction, label: str, states: Mapping[str, str]) -> States:
    heard = embedding(graph, label, network.embedding, f"{NAME}.embedding")
    state = states["hidden"], states["cell"]
    return dict(
        zip(("hidden", "cell"), lstm_cell(graph, heard, state, network.lstm, f"{NAME}.lstm", "_l0"), strict=True)
    )


def _lstm_output(graph: Graph, network: LstmPrediction, states: Mapping[str, str]) -> str:
    return linear(graph, states["hidden"], network.projection, f"{NAME}.projection")


def _tied_follow(graph: Graph, network: TiedReducedPrediction, label: str, states: Mapping[str, str]) -> States:
    ends = graph.ints(1), graph.ints(network.context)
    kept = graph.op("Slice", states["last"], *ends, graph.ints(1))
    return {"last": graph.op("Concat", kept, graph.op("Unsqueeze", label, graph.ints(1)), axis=1)}


def _tied_output(graph: Graph, network: TiedReducedPrediction, states: Mapping[str, str]) -> str:
    return behind(graph, network, states["last"])


def behind(graph: Graph, network: TiedReducedPrediction, last: str) -> str:
    """The output [batch, joint] behind the `last` labels [batch, context]."""
    said = graph.op("Cast", graph.op("Greater", last, graph.ints(START)), to=TensorProto.FLOAT)
    known = graph.op("Max", last, graph.ints(START))
    vectors = embedding(graph, known, network.embedding, f"{NAME}.embedding")
    vectors = graph.op("Mul", vectors, graph.op("Unsqueeze", said, graph.ints(2)))
    places = graph.weight(array(network.places.mean(0) / network.context))  # all heads weigh the same vectors
    weights = graph.op("ReduceSum", graph.op("Mul", vectors, places), graph.ints(2), keepdims=1)
    average = graph.op("ReduceSum", graph.op("Mul", vectors, weights), graph.ints(1), keepdims=0)
    projected = linear(graph, average, network.projection, f"{NAME}.projection")
    scale, shift = (graph.weight(array(part)) for part in (network.norm.weight, network.norm.bias))
    normed = graph.op("LayerNormalization", projected, scale, shift, epsilon=network.norm.eps)
    return graph.op("Mul", normed, graph.op("Sigmoid", normed))


PREDICTIONS = {
    "lstm": PredictionGraph(("hidden", "cell"), _lstm_follow, _lstm_output),
    "tied": PredictionGraph(("last",), _tied_follow, _tied_output),
}
