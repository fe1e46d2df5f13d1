"""Both ways to train an LSTM layer: the compiled kernel's, and torch's for other devices and types."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from shrinkml.compression.surgery import merge
from shrinkml.layers import lstm
from shrinkml.layers.kernel import lstm_gradient, padded_lstm
from shrinkml.layers.lstm import FormLSTM
from tests.shrinkml.layers.at_ranks import at_ranks

TOLERANCE = 1e-4  # float32 sums over all frames


@pytest.fixture(params=[lstm_gradient, padded_lstm], ids=["kernel", "torch"], autouse=True)
def implementation(request, monkeypatch):
    """What trains every `FormLSTM` of the test."""
    monkeypatch.setattr(lstm, "_implementation", lambda x: request.param.lstm_direction)


@pytest.mark.parametrize("lengths", [(5, 5, 5), (5, 3, 6)], ids=["equal lengths", "different lengths"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_gradients_are_those_of_torchs_layer_with_the_product_as_weight(lengths, bias):
    ranks = {"weight_ih_l0": 3, "weight_hh_l0": 2, "weight_hh_l0_reverse": 3}
    lstm = FormLSTM(12, 7, at_ranks(**ranks), bidirectional=True, bias=bias)
    for parameter in lstm.parameters():
        nn.init.normal_(parameter, std=0.3)
    dense = merge(lstm)
    x = pack_sequence([torch.randn(length, 12) for length in lengths], enforce_sorted=False)
    for module in (lstm, dense):
        y, (h, c) = module(x)
        (y.data.square().sum() + h.sum() + c.square().sum()).backward()
    for name, parameter in dense.named_parameters():
        if name not in ranks:
            torch.testing.assert_close(lstm.get_parameter(name).grad, parameter.grad, atol=TOLERANCE, rtol=TOLERANCE)
            continue
        up, down = lstm.get_parameter(f"{name}_up"), lstm.get_parameter(f"{name}_down")
        torch.testing.assert_close(up.grad, parameter.grad @ down.T, atol=TOLERANCE, rtol=TOLERANCE)
        torch.testing.assert_close(down.grad, up.T @ parameter.grad, atol=TOLERANCE, rtol=TOLERANCE)


def test_padding_leaves_the_state_as_it_is_even_when_gates_are_large():
    lstm = FormLSTM(4, 5, at_ranks(weight_hh_l0=2))
    for parameter in lstm.parameters():
        nn.init.normal_(parameter, std=10.0)
    long, short = torch.randn(30, 4), torch.randn(3, 4)
    _, (h, c) = lstm(pack_sequence([long, short]))
    _, (expected_h, expected_c) = lstm(short.unsqueeze(1))
    torch.testing.assert_close(h[:, 1:], expected_h)
    torch.testing.assert_close(c[:, 1:], expected_c)


def test_gradients_reach_the_input_and_the_initial_state():
    lstm = FormLSTM(4, 5, at_ranks(weight_hh_l0=2))
    for parameter in lstm.parameters():
        nn.init.normal_(parameter)
    sequences = [torch.randn(3, 4, requires_grad=True), torch.randn(6, 4, requires_grad=True)]
    h, c = torch.randn(1, 2, 5, requires_grad=True), torch.randn(1, 2, 5, requires_grad=True)
    lstm(pack_sequence(sequences, enforce_sorted=False), (h, c))[0].data.sum().backward()
    assert all(bool(leaf.grad.abs().sum(-1).all()) for leaf in (*sequences, h, c))


def test_a_gradient_at_a_state_in_the_middle_of_the_data_is_the_numeric_one():
    torch.manual_seed(0)
    lstm = FormLSTM(3, 4, at_ranks(weight_ih_l0=2, weight_hh_l0_reverse=2), bidirectional=True)
    for parameter in lstm.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = pack_sequence([torch.randn(length, 3) for length in (4, 2)])
    state = torch.randn(2, 2, 4), torch.randn(2, 2, 4)

    def loss() -> torch.Tensor:
        y, (h, c) = lstm(x, state)
        return y.data.sin().sum() + h.cos().sum() + c.square().sum()

    loss().backward()
    epsilon = 1e-2  # float32: a smaller step drowns in rounding
    for parameter in lstm.parameters():
        direction = torch.randn_like(parameter)
        with torch.no_grad():
            parameter.add_(epsilon * direction)
            above = loss()
            parameter.sub_(2 * epsilon * direction)
            below = loss()
            parameter.add_(epsilon * direction)
        expected = (above - below) / (2 * epsilon)
        torch.testing.assert_close((parameter.grad * direction).sum(), expected, atol=5e-3, rtol=5e-3)


def test_a_second_backward_pass_gives_the_same_gradient():
    lstm = FormLSTM(4, 5, at_ranks(weight_hh_l0=2))
    for parameter in lstm.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(6, 2, 4, requires_grad=True)
    total = lstm(x)[0].sum()
    (first,) = torch.autograd.grad(total, x, retain_graph=True)
    (second,) = torch.autograd.grad(total, x)
    assert torch.equal(first, second)
