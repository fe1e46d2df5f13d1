"""The oracle throughout is torch's own layer with the products of the factors as weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from shrinkml.compression.surgery import merge
from shrinkml.layers.lstm import FormLSTM
from tests.shrinkml.layers.at_ranks import at_ranks

drawn = settings(deadline=None, max_examples=15)
TOLERANCE = 1e-5  # float32 rounding; gates and states are of order one


def randomised(module, seed=0):
    """`module` with weights that keep gates and states of order one."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5
    return module


def assert_close(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=TOLERANCE, rtol=TOLERANCE)


@st.composite
def layers(draw):
    units, n_in = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    num_layers, bidirectional = draw(st.integers(1, 2)), draw(st.booleans())
    ranks = {}
    for layer in range(num_layers):
        for suffix in (f"l{layer}", f"l{layer}_reverse")[: 1 + bidirectional]:
            for kind in ("ih", "hh"):
                if draw(st.booleans()):
                    columns = units if kind == "hh" else n_in if layer == 0 else units * (1 + bidirectional)
                    ranks[f"weight_{kind}_{suffix}"] = draw(st.integers(1, min(9, columns, 4 * units)))
    lstm = FormLSTM(
        n_in,
        units,
        at_ranks(**ranks),
        num_layers=num_layers,
        bidirectional=bidirectional,
        bias=draw(st.booleans()),
        batch_first=draw(st.booleans()),
    )
    # Without a rank, `merge` has nothing to multiply out: the oracle would be the layer itself.
    return randomised(lstm if ranks else FormLSTM(n_in, units, at_ranks(weight_hh_l0=1)), draw(st.integers(0, 99)))


def state(lstm, batch):
    shape = ((1 + lstm.bidirectional) * lstm.num_layers, batch, lstm.hidden_size)
    return torch.randn(shape), torch.randn(shape)


@pytest.mark.parametrize("gradients", [False, True], ids=["compiled", "differentiable"])
class TestAgainstTorch:
    @drawn
    @given(lstm=layers(), batch=st.integers(1, 9), steps=st.integers(1, 40), with_state=st.booleans())
    def test_tensors(self, gradients, lstm, batch, steps, with_state):
        x = torch.randn((batch, steps, lstm.input_size) if lstm.batch_first else (steps, batch, lstm.input_size))
        hx = state(lstm, batch) if with_state else None
        with torch.set_grad_enabled(gradients):
            (y, found), (expected_y, expected) = lstm(x, hx), merge(lstm)(x, hx)
        assert_close((y, *found), (expected_y, *expected))

    @drawn
    @given(lstm=layers(), lengths=st.lists(st.integers(1, 40), min_size=1, max_size=9), with_state=st.booleans())
    def test_packed_sequences(self, gradients, lstm, lengths, with_state):
        packed = pack_sequence([torch.randn(n, lstm.input_size) for n in lengths], enforce_sorted=False)
        hx = state(lstm, len(lengths)) if with_state else None
        with torch.set_grad_enabled(gradients):
            (y, found), (expected_y, expected) = lstm(packed, hx), merge(lstm)(packed, hx)
        assert_close((y.data, *found), (expected_y.data, *expected))
        assert torch.equal(y.batch_sizes, packed.batch_sizes)
        assert torch.equal(y.unsorted_indices, packed.unsorted_indices)

    def test_a_single_sequence_without_a_batch_dimension(self, gradients):
        lstm = randomised(FormLSTM(5, 4, at_ranks(weight_ih_l0=2, weight_hh_l0_reverse=3), bidirectional=True))
        x, hx = torch.randn(6, 5), (torch.randn(2, 4), torch.randn(2, 4))
        with torch.set_grad_enabled(gradients):
            (y, found), (expected_y, expected) = lstm(x, hx), merge(lstm)(x, hx)
        assert_close((y, *found), (expected_y, *expected))


@pytest.mark.parametrize("gradients", [False, True], ids=["compiled", "differentiable"])
def test_a_sequences_result_does_not_depend_on_its_batch(gradients):
    lstm = randomised(FormLSTM(20, 33, at_ranks(weight_hh_l0=9, weight_ih_l0_reverse=5), bidirectional=True))
    sequences = [torch.randn(n, 20) for n in (40, 12, 7, 40, 1)]
    with torch.set_grad_enabled(gradients):
        together, _ = pad_packed_sequence(lstm(pack_sequence(sequences, enforce_sorted=False))[0])
        for i, sequence in enumerate(sequences):
            alone, _ = lstm(sequence.unsqueeze(1))
            assert_close([together[: len(sequence), i]], [alone[:, 0]])


@pytest.mark.parametrize("gradients", [False, True], ids=["compiled", "differentiable"])
def test_states_passed_in_are_left_alone(gradients):
    lstm = randomised(FormLSTM(4, 5, at_ranks(weight_hh_l0=2)))
    h, c = torch.ones(1, 2, 5), torch.ones(1, 2, 5)
    with torch.set_grad_enabled(gradients):
        lstm(torch.randn(3, 2, 4), (h, c))
    assert torch.equal(h, torch.ones(1, 2, 5))
    assert torch.equal(c, torch.ones(1, 2, 5))


def test_doubles_are_computed_in_doubles():
    lstm = randomised(FormLSTM(4, 5, at_ranks(weight_hh_l0=2))).double()
    x = torch.randn(3, 2, 4, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(lstm(x)[0], merge(lstm)(x)[0])


def test_torchs_layer_can_be_seen_as_a_low_rank_one_that_shares_its_parameters():
    lstm = nn.LSTM(4, 5, num_layers=2, bidirectional=True, batch_first=True).eval()
    x = torch.randn(2, 6, 4)
    same = FormLSTM.of(lstm)
    assert_close([same(x)[0]], [lstm(x)[0]])
    assert same.get_parameter("weight_hh_l1_reverse") is lstm.weight_hh_l1_reverse
    assert not same.training
    assert FormLSTM.of(same) is same


def test_dropout_acts_between_layers_in_training_only():
    lstm = randomised(FormLSTM(4, 5, at_ranks(weight_ih_l0=2), num_layers=2, dropout=0.5))
    x = torch.randn(6, 2, 4)
    assert not torch.equal(lstm(x)[0], lstm(x)[0])
    assert torch.equal(lstm.eval()(x)[0], lstm(x)[0])


def test_repr_shows_the_ranks():
    assert "choices={'weight_hh_l0': 2}" in repr(FormLSTM(4, 5, at_ranks(weight_hh_l0=2)))
