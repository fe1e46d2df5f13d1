"""Layers as ONNX operators; the oracle is torch's own layer, or ours, on the same numbers."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from shrinkml.compression.surgery import reshape
from shrinkml.export.graph import Graph, Storage
from shrinkml.export.layer_graph import array, embedding, linear
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
    graph.output(write(graph, graph.input("x", shape, dtype), layer, "layer"), "y", (*shape, "out"))
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
