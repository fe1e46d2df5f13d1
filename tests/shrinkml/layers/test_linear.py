"""The oracle is torch's own layer with the product of the factors as its weight."""

import pytest
import torch
from torch import nn

from shrinkml.compression.surgery import merge
from shrinkml.layers.linear import FormLinear
from tests.shrinkml.layers.at_ranks import at_ranks


def randomised(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
def test_a_low_rank_linear_layer_equals_the_dense_one(bias, shape):
    layer = randomised(FormLinear(5, 4, at_ranks(weight=2), bias=bias))
    x = torch.randn(shape)
    torch.testing.assert_close(layer(x), merge(layer)(x))
    assert (merge(layer).bias is not None) == bias


def test_the_weight_can_be_read_as_that_of_a_dense_layer():
    layer = randomised(FormLinear(5, 4, at_ranks(weight=2)))
    assert torch.equal(layer.weight, layer.weight_up @ layer.weight_down)
    assert "choices={'weight': 2}" in repr(layer)
