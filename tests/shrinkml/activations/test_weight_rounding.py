import torch
from torch import nn

from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.places import attach_
from shrinkml.activations.weight_rounding import rounded_weight, row_grid
from shrinkml.models.transformer.memory_block import MemoryBlock


def test_each_row_is_rounded_by_its_own_range():
    torch.manual_seed(0)
    block = MemoryBlock(4, 5)
    attach_(block, ActivationSpec(4))
    weight = block.filter.weight
    found = rounded_weight(block, weight)
    steps = (weight.amax((1, 2)).clamp(min=0) - weight.amin((1, 2)).clamp(max=0)) / 15
    assert ((found - weight).abs().amax((1, 2)) <= steps).all()
    assert all(len(row.unique()) <= 16 for row in found)
    found.sum().backward()
    assert weight.grad.any()


def test_without_rounding_weights_are_as_they_are():
    layer = nn.Linear(2, 3)
    assert rounded_weight(layer, layer.weight) is layer.weight
    assert row_grid(layer, layer.weight) is None
