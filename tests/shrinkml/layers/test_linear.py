"""The oracle is torch's own layer with the product of the factors as its weight."""

import pytest
import torch
from torch import nn

from shrinkml.compression.surgery import merge
from shrinkml.layers.linear import LowRankEmbedding, LowRankLinear


def randomised(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
def test_a_low_rank_linear_layer_equals_the_dense_one(bias, shape):
    layer = randomised(LowRankLinear(5, 4, rank=2, bias=bias))
    x = torch.randn(shape)
    torch.testing.assert_close(layer(x), merge(layer)(x))
    assert (merge(layer).bias is not None) == bias


def test_a_low_rank_embedding_equals_the_dense_one():
    layer = randomised(LowRankEmbedding(6, 5, rank=2))
    indices = torch.tensor([[0, 5], [3, 3]])
    torch.testing.assert_close(layer(indices), merge(layer)(indices))


def test_the_padding_entry_gets_no_gradient():
    layer = randomised(LowRankEmbedding(6, 5, rank=2, padding_idx=1))
    layer(torch.tensor([1, 2])).sum().backward()
    assert not layer.weight_up.grad[1].any()
    assert layer.weight_up.grad[2].all()
    assert merge(layer).padding_idx == 1


@pytest.mark.parametrize("layer", [LowRankLinear(5, 4, 2), LowRankEmbedding(5, 4, 2)])
def test_the_weight_can_be_read_as_that_of_a_dense_layer(layer):
    randomised(layer)
    assert torch.equal(layer.weight, layer.weight_up @ layer.weight_down)
    assert "rank=2" in repr(layer)
