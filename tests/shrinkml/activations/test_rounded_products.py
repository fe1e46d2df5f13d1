"""Layers over rounded matrices whose inputs are rounded; the oracle is the same in whole numbers."""

import pytest
import torch
from torch import nn

from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.observing import observe_
from shrinkml.activations.places import attach_, quantizer_at
from shrinkml.activations.rounded_products import input_place, input_places
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.weights.forms import get_form
from shrinkml.weights.integer_factors import integer_factors

CHOICES = [Choice(bits=8), Choice(rank=3, bits=8)]


def small(layer, choice, x):
    """`layer` in few bits, that has seen `x`."""
    torch.manual_seed(0)
    model = nn.Sequential(layer).eval()
    found = factorize(model, CompressionPlan({"0.weight": choice}), decompose(model, "svd", {}))
    attach_(found, ActivationSpec())
    observe_(found, lambda: found(x))
    return found[0]


def in_integers(layer, x):
    """[..., in] to [..., out]: sums of products of whole numbers, and scales."""
    for i, factor in enumerate(integer_factors(get_form(layer, "weight"))):
        grid = quantizer_at(layer, input_place(i)).grid
        numbers = (x / grid.scale).round().add(grid.zero).clamp(0, 255).long() - grid.zero
        sums = numbers @ factor.numbers.long().T
        x = sums * (grid.scale * factor.scales)
    return x + layer.bias


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_linear_layer_multiplies_as_integers_do(choice):
    x = torch.randn(4, 5, 10, generator=torch.Generator().manual_seed(1))
    layer = small(nn.Linear(10, 6), choice, x)
    assert input_places(layer, "weight") == tuple(map(input_place, range(1 if choice.rank is None else 2)))
    torch.testing.assert_close(layer(x), in_integers(layer, x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_convolution_multiplies_as_integers_do(choice):
    x = torch.randn(2, 4, 9, generator=torch.Generator().manual_seed(1))
    layer = small(nn.Conv1d(4, 6, 3, padding=1), choice, x)
    windows = nn.functional.pad(x, (1, 1)).unfold(2, 3, 1).transpose(1, 2).flatten(2)  # [batch, steps, in * width]
    torch.testing.assert_close(layer(x), in_integers(layer, windows).transpose(1, 2), atol=1e-4, rtol=1e-4)


def test_a_matrix_of_floats_has_no_places():
    model = nn.Sequential(nn.Linear(10, 6))
    found = factorize(model, CompressionPlan.of_ranks({"0.weight": 3}), decompose(model, "svd", {}))
    assert found[0].rounded_places == ()


def test_gradients_reach_weights_and_input_straight_through():
    x = torch.randn(4, 10, requires_grad=True)
    layer = small(nn.Linear(10, 6), CHOICES[1], x.detach())
    layer.train()(x).sum().backward()
    assert x.grad.all()
    assert all(part.grad.any() for part in layer.parameters() if part.requires_grad)
