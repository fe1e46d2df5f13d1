"""The oracle is torch's own layer with the product of the factors as its weight."""

import torch
from torch import nn

from shrinkml.compression.surgery import merge
from shrinkml.layers.embedding import FormEmbedding
from tests.shrinkml.layers.at_ranks import at_ranks


def randomised(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def test_a_low_rank_embedding_equals_the_dense_one():
    layer = randomised(FormEmbedding(6, 5, at_ranks(weight=2)))
    indices = torch.tensor([[0, 5], [3, 3]])
    torch.testing.assert_close(layer(indices), merge(layer)(indices))


def test_the_padding_entry_gets_no_gradient():
    layer = randomised(FormEmbedding(6, 5, at_ranks(weight=2), padding_idx=1))
    layer(torch.tensor([1, 2])).sum().backward()
    assert not layer.weight_up.grad[1].any()
    assert layer.weight_up.grad[2].all()
    assert merge(layer).padding_idx == 1


def test_the_weight_can_be_read_as_that_of_a_dense_layer():
    layer = randomised(FormEmbedding(5, 4, at_ranks(weight=2)))
    assert torch.equal(layer.weight, layer.weight_up @ layer.weight_down)
    assert "choices={'weight': 2}" in repr(layer)
