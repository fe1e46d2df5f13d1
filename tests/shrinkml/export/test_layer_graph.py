"""Layers as ONNX operators; the oracle is torch's own layer, or ours, on the same numbers."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from shrinkml.compression.surgery import reshape
from shrinkml.export.graph import Graph, Storage
from shrinkml.export.layer_graph import array, convolution, embedding, layer_norm, linear
from shrinkml.plan.compression_plan import CompressionPlan

RANK = CompressionPlan.of_ranks({"weight": 3})
PLANS = pytest.mark.parametrize("plan", [CompressionPlan(), RANK], ids=["dense", "rank"])


def made(layer, plan):
    torch.manual_seed(0)
    layer = reshape(layer, plan)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def run(write, layer, x, shape, dtype):
    graph = Graph(Storage())
    axes = (*shape, "out") if dtype == "int64" else (shape[0], "steps", "out")
    graph.output(write(graph, graph.input("x", shape, dtype), layer, "layer"), "y", axes)
    model = graph.model()
    names = {node.name for node in model.graph.node if node.name}
    (y,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    return y, names


@PLANS
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_computes_as_torchs(plan, bias):
    layer, x = made(nn.Linear(6, 5, bias=bias), plan), torch.randn(2, 4, 6)
    graph = Graph(Storage())
    graph.output(linear(graph, graph.input("x", (2, 4, 6)), layer, "layer"), "y", (2, 4, 5))
    (y,) = onnxruntime.InferenceSession(graph.model().SerializeToString()).run(None, {"x": x.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(y, layer(x), atol=1e-5)


@PLANS
def test_an_embedding_looks_up_as_torchs(plan):
    layer, indices = made(nn.Embedding(7, 5), plan), torch.tensor([[0, 6], [2, 2]])
    y, _ = run(embedding, layer, indices.numpy(), (2, 2), "int64")
    with torch.no_grad():
        np.testing.assert_allclose(y, layer(indices), atol=1e-5)


@PLANS
def test_operators_are_named_by_the_layer_and_its_factors(plan):
    layer = made(nn.Embedding(7, 5), plan)
    _, names = run(embedding, layer, np.zeros((2, 2), np.int64), (2, 2), "int64")
    assert names == ({"layer.weight.up", "layer.weight.down"} if plan.choices else {"layer.weight"})


def test_numbers_are_in_float32():
    assert array(nn.Parameter(torch.ones(2, dtype=torch.float64))).dtype == np.float32


@PLANS
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 1, 2)])
@pytest.mark.parametrize("time", [7, 8])
def test_a_convolution_computes_as_torchs(plan, stride, padding, dilation, time):
    layer = made(nn.Conv1d(4, 6, 3, stride=stride, padding=padding, dilation=dilation), plan)
    x = torch.randn(2, time, 4)
    y, names = run(convolution, layer, x.numpy(), (2, time, 4), "float32")
    assert names == ({"layer.weight.up", "layer.weight.down"} if plan.choices else {"layer.weight"})
    with torch.no_grad():
        np.testing.assert_allclose(y, layer(x.transpose(1, 2)).transpose(1, 2), atol=1e-5)


def test_units_are_normalised_as_torchs():
    layer, x = made(nn.LayerNorm(5), CompressionPlan()), torch.randn(2, 3, 5)
    graph = Graph(Storage())
    graph.output(layer_norm(graph, graph.input("x", (2, 3, 5)), layer), "y", (2, 3, 5))
    (y,) = onnxruntime.InferenceSession(graph.model().SerializeToString()).run(None, {"x": x.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(y, layer(x), atol=1e-5)
