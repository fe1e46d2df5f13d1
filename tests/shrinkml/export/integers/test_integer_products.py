"""Graphs of layers that round: traced and drawn; the oracle is the layer in torch."""

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.full_quantization import fully_quantized
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.surgery import widen
from shrinkml.export.graph import Graph, Storage, as_model
from shrinkml.export.integers.integer_products import float_products, integer_products_of, multiply_in_integers_
from shrinkml.export.layer_graph import linear
from shrinkml.models.huggingface.onnx.traced_graph import store_, trace
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan

X = torch.randn(2, 6, 9, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """A convolution, and two layers with a ReLU between them, one of which is used twice."""

    def __init__(self):
        super().__init__()
        self.front = nn.Conv1d(6, 8, 3, padding=1)
        self.inner = nn.Linear(8, 12)
        self.again = nn.Linear(12, 12, bias=False)

    def forward(self, x):
        """[batch, 6, time] to [batch, time, 12]."""
        return self.again(self.again(self.inner(self.front(x).transpose(1, 2)).relu()))


CHOICES = {"inner.weight": Choice(rank=4), "again.weight": Choice(rank=6, identity=True)}


def small():
    """In 8 bits: a whole kernel, two factors, and two of which one holds an identity block."""
    torch.manual_seed(0)
    net = Net().eval()
    net = factorize(net, CompressionPlan(CHOICES), decompose(net, "svd", {}))
    return fully_quantized(net, ActivationSpec(), decompose(net, "svd", {}), lambda it: it(X))


def test_a_traced_network_multiplies_whole_numbers_alone():
    net = small()
    graph = trace(widen(net), {"x": X}, ("y",), free={"x": (0, 2)})
    store_(graph, Storage(half=True, integers=integer_products_of(net)))
    assert [node.op_type for node in float_products(graph)] == []
    session = onnxruntime.InferenceSession(as_model(graph).SerializeToString())
    found, expected = session.run(None, {"x": X.numpy()})[0], net(X).detach()
    assert np.abs(found - expected.numpy()).max() < 0.06 * expected.abs().max()
    held = [one for one in graph.initializer if one.data_type == onnx.TensorProto.UINT8 and len(one.dims) > 1]
    sizes = sorted(int(np.prod(one.dims)) for one in held)
    assert sizes == [4 * 8, 6 * 6, 4 * 12, 6 * 12, 6 * 8 * 3], "what is used twice is held once"


def test_a_layer_that_does_not_round_stays_as_it_is():
    graph, layer = Graph(Storage()), nn.Linear(3, 2)
    graph.output(linear(graph, graph.input("x", (1, 3)), layer, "layer"), "y", (1, 2))
    body, net = graph.body(), small()
    multiply_in_integers_(body, Storage(integers=integer_products_of(net)))
    assert [node.op_type for node in float_products(body)] == ["MatMul"]
    assert integer_products_of(widen(net)) == {}
