"""The oracle is torch's own cell with the products of the factors as weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shrinkml.compression.surgery import merge
from shrinkml.layers.lstm_cell import FormLSTMCell
from tests.shrinkml.layers.at_ranks import at_ranks


def randomised(cell):
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return cell


@pytest.mark.parametrize("gradients", [False, True], ids=["compiled", "differentiable"])
@settings(deadline=None, max_examples=15)
@given(
    units=st.integers(4, 70),  # the largest rank below
    n_in=st.integers(3, 70),
    batch=st.one_of(st.none(), st.integers(1, 9)),
    ranks=st.sampled_from([{"weight_ih": 3}, {"weight_hh": 2}, {"weight_ih": 1, "weight_hh": 4}]),
    bias=st.booleans(),
    with_state=st.booleans(),
)
def test_a_step_equals_that_of_the_dense_cell(gradients, units, n_in, batch, ranks, bias, with_state):
    cell = randomised(FormLSTMCell(n_in, units, at_ranks(**ranks), bias=bias))
    leading = () if batch is None else (batch,)
    hx = (torch.randn(*leading, units), torch.randn(*leading, units)) if with_state else None
    x = torch.randn(*leading, n_in)
    with torch.set_grad_enabled(gradients):
        # Float32 rounding; gates and states are of order one.
        torch.testing.assert_close(cell(x, hx), merge(cell)(x, hx), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("gradients", [False, True], ids=["compiled", "differentiable"])
def test_states_passed_in_are_left_alone(gradients):
    cell = randomised(FormLSTMCell(4, 5, at_ranks(weight_hh=2)))
    h, c = torch.ones(2, 5), torch.ones(2, 5)
    with torch.set_grad_enabled(gradients):
        cell(torch.randn(2, 4), (h, c))
    assert torch.equal(h, torch.ones(2, 5))
    assert torch.equal(c, torch.ones(2, 5))


def test_repr_shows_the_ranks():
    assert "choices={'weight_hh': 2}" in repr(FormLSTMCell(4, 5, at_ranks(weight_hh=2)))
