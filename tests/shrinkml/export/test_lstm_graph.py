"""LSTM layers as ONNX operators against torch's own, on sequences of unequal length."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from shrinkml.compression.sites import find_layers
from shrinkml.compression.surgery import merge, reshape
from shrinkml.export.graph import Graph, Storage
from shrinkml.export.int8.int8_graph import write_int8
from shrinkml.export.lstm_graph import SCAN_UNITS, lstm_layer
from shrinkml.layers.lstm import FormLSTM
from shrinkml.plan.compression_plan import CompressionPlan

N_IN = 24
COUNTS = [9, 1, 6, 9]


@pytest.fixture(params=["dense", "low rank", "low-rank input", "low-rank recurrence", "no bias"])
def form(request):
    """Which matrices have a rank, and whether there are biases."""
    wanted = {"dense": "", "low rank": "weight", "low-rank input": "weight_ih", "low-rank recurrence": "weight_hh"}
    return wanted.get(request.param, "weight"), request.param != "no bias"


@pytest.fixture(params=[(SCAN_UNITS, True), (32, True), (32, False)], ids="{0[0]} units, both ways {0[1]}".format)
def layer(request, form):
    torch.manual_seed(0)
    units, both = request.param
    lstm = nn.LSTM(N_IN, units, bidirectional=both, bias=form[1])
    ranked = [spec.name for spec in find_layers(lstm) if form[0] and spec.name.startswith(form[0])]
    layer = FormLSTM.of(reshape(lstm, CompressionPlan.of_ranks(dict.fromkeys(ranked, 5))))
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return layer


def run(layer, x, path=None):
    graph = Graph(Storage(int8=path is not None))
    inputs, counts = graph.input("x", ("t", "b", N_IN)), graph.input("counts", ("b",), "int64")
    graph.output(lstm_layer(graph, inputs, counts, layer, "lstm"), "y", ("t", "b", "u"))
    model = graph.model()
    if path:
        write_int8(model, path, frozenset())
    session = onnxruntime.InferenceSession(str(path) if path else model.SerializeToString())
    return session.run(None, {"x": x, "counts": COUNTS})[0]


def expected(layer, x):
    dense = merge(layer)
    outputs = np.zeros((max(COUNTS), len(COUNTS), (1 + layer.bidirectional) * layer.hidden_size), np.float32)
    for row, count in enumerate(COUNTS):
        with torch.no_grad():
            outputs[:count, row] = dense(torch.from_numpy(x[:count, row]))[0]
    return outputs


@pytest.fixture
def x():
    return np.random.default_rng(0).standard_normal((max(COUNTS), len(COUNTS), N_IN), np.float32)


def test_outputs_are_torchs_and_zero_beyond_each_end(layer, x):
    np.testing.assert_allclose(run(layer, x), expected(layer, x), atol=1e-5)


def test_int8_outputs_are_near(layer, x, tmp_path):
    # 127 steps for each weight, 255 for each activation, squashed into [-1, 1].
    np.testing.assert_allclose(run(layer, x, tmp_path / "layer.onnx"), expected(layer, x), atol=0.06)
