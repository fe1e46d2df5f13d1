"""Rounding as ONNX operators; the oracle is the rounding in torch."""

import numpy as np
import onnxruntime
import pytest
import torch

from shrinkml.activations.activation_spec import BITS, ActivationSpec
from shrinkml.activations.places import attach_, divisor_at, quantizers, rounded_at
from shrinkml.activations.weight_rounding import rounded_weight as weight_in_torch
from shrinkml.export.graph import Graph, Storage
from shrinkml.export.integers.rounding_nodes import divisor, rounded, rounded_weight
from shrinkml.models.transformer.memory_block import FILTERED, MemoryBlock

X = 3 * torch.rand(4, 5, generator=torch.Generator().manual_seed(0)) - 1


def block(bits=8):
    """A module that has seen the numbers from 0 or X's least to 1.5."""
    found = MemoryBlock(5, 3).eval()
    attach_(found, ActivationSpec(bits))
    ((_, quantizer),) = quantizers(found)
    quantizer.low.copy_(X.min())
    quantizer.high.fill_(1.5)
    return found


def run(write, x=X, shape=("n", "units")):
    graph = Graph(Storage())
    graph.output(write(graph, graph.input("x", ("n", "units"))), "y", shape)
    return onnxruntime.InferenceSession(graph.model().SerializeToString()).run(None, {"x": x.numpy()})[0]


@pytest.mark.parametrize("bits", BITS)
def test_numbers_are_rounded_and_clamped_as_in_torch(bits):
    module = block(bits)
    found = run(lambda graph, x: rounded(graph, x, module, FILTERED))
    np.testing.assert_allclose(found, rounded_at(module, FILTERED, X), atol=1e-6)
    assert found.max() < X.max(), "some are clamped"


def test_a_divisor_is_one_step_at_least():
    module = block()
    ((_, quantizer),) = quantizers(module)
    quantizer.low.fill_(0.0)
    small = torch.tensor([[1e-6, 0.001, 0.5, 1.4, 9.0]])
    found = run(lambda graph, x: divisor(graph, x, module, FILTERED), small)
    np.testing.assert_allclose(found, divisor_at(module, FILTERED, small), atol=1e-6)
    assert found.min() > 0


@pytest.mark.parametrize("bits", BITS)
@torch.no_grad()
def test_weights_are_rounded_as_in_torch(bits):
    module = block(bits)
    weight = module.filter.weight
    found = run(lambda graph, x: rounded_weight(graph, module, weight), shape=weight.shape)
    np.testing.assert_allclose(found, weight_in_torch(module, weight), atol=1e-6)


@torch.no_grad()
def test_a_module_that_rounds_nothing_leaves_all_as_it_is():
    module = MemoryBlock(5, 3)
    for write in (rounded, divisor):
        np.testing.assert_array_equal(run(lambda graph, x, write=write: write(graph, x, module, FILTERED)), X)
    weight = module.filter.weight
    found = run(lambda graph, x: rounded_weight(graph, module, weight), shape=weight.shape)
    np.testing.assert_array_equal(found, weight)
