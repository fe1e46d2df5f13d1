"""Prediction networks as ONNX operators against torch's."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from shrinkml.export.graph import Graph, Storage
from shrinkml.models.transducer.prediction import START, LstmPrediction, TiedReducedPrediction
from shrinkml.models.transducer.prediction_graph import PREDICTIONS

LABELS = np.array([[3, 1, 2, 4, 2], [2, 4, 4, 3, 1]])


def lstm():
    return LstmPrediction(6, 4, 7, 8, dropout=0.0)


def tied():
    return TiedReducedPrediction(nn.Linear(8, 6), context=3, heads=2)


@pytest.fixture(params=[("lstm", lstm), ("tied", tied)], ids=["lstm", "tied"])
def pair(request):
    """A network, and a function label, state -> output, state by ONNX Runtime."""
    name, make = request.param
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = make().eval()
    row, graph = PREDICTIONS[name], Graph(Storage())
    label = graph.input("label", ("batch",), "int64")
    kind = "int64" if name == "tied" else "float32"
    states = {state: graph.input(state, ("batch", None), kind) for state in row.states}
    states = row.follow(graph, network, label, states)
    graph.output(row.output(graph, network, states), "output", ("batch", 8))
    for state, value in states.items():
        graph.output(value, f"next_{state}", ("batch", None), kind)
    session = onnxruntime.InferenceSession(graph.model().SerializeToString())

    def step(label, state):
        output, *state = session.run(None, {"label": label, **dict(zip(row.states, state, strict=True))})
        return output, state

    return network, step


@torch.no_grad()
def test_outputs_and_states_are_torchs(pair):
    network, step = pair
    _, state = network.step(torch.full((2,), START), network.start(2))
    there = [part.numpy() for part in state]
    for label in LABELS.T:
        output, state = network.step(torch.from_numpy(label.copy()), state)
        found, there = step(label, there)
        np.testing.assert_allclose(found, output.numpy(), atol=1e-5)
        for a, b in zip(there, state, strict=True):
            np.testing.assert_allclose(a, b.numpy(), atol=1e-6)
