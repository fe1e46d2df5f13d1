"""The oracle throughout is torch's own layer with the products of the factors as weights."""

import copy
import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from shrinkml.compression import lstm_kernel
from shrinkml.compression.low_rank_lstm import LowRankLSTM, LowRankLSTMCell
from shrinkml.compression.surgery import merge

drawn = settings(deadline=None, max_examples=25)
TOLERANCE = 1e-5  # float32 rounding; gates and states are of order one


def randomised(module, seed=0):
    """`module` with weights that keep gates and states of order one."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5
    return module


@st.composite
def layers(draw):
    units, n_in = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    num_layers, bidirectional = draw(st.integers(1, 2)), draw(st.booleans())
    ranks = {}
    for layer in range(num_layers):
        for suffix in (f"l{layer}", f"l{layer}_reverse")[: 1 + bidirectional]:
            for kind in ("ih", "hh"):
                if draw(st.booleans()):
                    ranks[f"weight_{kind}_{suffix}"] = draw(st.integers(1, 9))
    lstm = LowRankLSTM(
        n_in,
        units,
        ranks,
        num_layers=num_layers,
        bidirectional=bidirectional,
        bias=draw(st.booleans()),
        batch_first=draw(st.booleans()),
    )
    # Without a rank, `merge` has nothing to multiply out: the oracle would be the layer itself.
    return randomised(lstm if ranks else LowRankLSTM(n_in, units, {"weight_hh_l0": 1}), draw(st.integers(0, 99)))


def state(lstm, batch):
    shape = ((1 + lstm.bidirectional) * lstm.num_layers, batch, lstm.hidden_size)
    return torch.randn(shape), torch.randn(shape)


def assert_close(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=TOLERANCE, rtol=TOLERANCE)


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
        lstm = randomised(LowRankLSTM(5, 4, {"weight_ih_l0": 2, "weight_hh_l0_reverse": 3}, bidirectional=True))
        x, hx = torch.randn(6, 5), (torch.randn(2, 4), torch.randn(2, 4))
        with torch.set_grad_enabled(gradients):
            (y, found), (expected_y, expected) = lstm(x, hx), merge(lstm)(x, hx)
        assert_close((y, *found), (expected_y, *expected))

    @drawn
    @given(
        units=st.integers(1, 70),
        n_in=st.integers(1, 70),
        batch=st.one_of(st.none(), st.integers(1, 9)),
        ranks=st.sampled_from([{"weight_ih": 3}, {"weight_hh": 2}, {"weight_ih": 1, "weight_hh": 4}]),
        bias=st.booleans(),
        with_state=st.booleans(),
    )
    def test_cells(self, gradients, units, n_in, batch, ranks, bias, with_state):
        cell = randomised(LowRankLSTMCell(n_in, units, ranks, bias=bias))
        leading = () if batch is None else (batch,)
        hx = (torch.randn(*leading, units), torch.randn(*leading, units)) if with_state else None
        x = torch.randn(*leading, n_in)
        with torch.set_grad_enabled(gradients):
            assert_close(cell(x, hx), merge(cell)(x, hx))


@pytest.mark.parametrize("packed", [False, True], ids=["tensor", "packed"])
@pytest.mark.parametrize(
    "ranks",
    [
        {"weight_ih_l0": 3, "weight_hh_l0": 2, "weight_ih_l0_reverse": 4, "weight_hh_l0_reverse": 3},
        {"weight_ih_l0": 3, "weight_hh_l0_reverse": 2},
        {"weight_ih_l0": 9, "weight_ih_l0_reverse": 9},
    ],
    ids=["thin", "one direction dense", "too wide to share an input"],
)
def test_gradients_are_those_of_the_product(ranks, packed):
    lstm = randomised(LowRankLSTM(12, 7, ranks, bidirectional=True))
    dense = merge(lstm)
    sequences = [torch.randn(n, 12) for n in (5, 3, 5)]
    x = pack_sequence(sequences, enforce_sorted=False) if packed else torch.randn(5, 3, 12)
    for module in (lstm, dense):
        y, (h, c) = module(x)
        ((y.data if packed else y).square().sum() + h.sum() + c.square().sum()).backward()
    for name, parameter in dense.named_parameters():
        if name not in ranks:
            torch.testing.assert_close(lstm.get_parameter(name).grad, parameter.grad, atol=1e-4, rtol=1e-4)
            continue
        up, down = lstm.get_parameter(f"{name}_up"), lstm.get_parameter(f"{name}_down")
        torch.testing.assert_close(up.grad, parameter.grad @ down.T, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(down.grad, up.T @ parameter.grad, atol=1e-4, rtol=1e-4)


def test_a_sequences_result_does_not_depend_on_its_batch():
    lstm = randomised(LowRankLSTM(20, 33, {"weight_hh_l0": 9, "weight_hh_l0_reverse": 5}, bidirectional=True))
    sequences = [torch.randn(n, 20) for n in (40, 12, 7, 40, 1)]
    with torch.no_grad():
        together, _ = nn.utils.rnn.pad_packed_sequence(lstm(pack_sequence(sequences, enforce_sorted=False))[0])
        for i, sequence in enumerate(sequences):
            alone, _ = lstm(sequence.unsqueeze(1))
            assert torch.equal(together[: len(sequence), i], alone[:, 0])


def test_large_gates_saturate_and_do_not_overflow():
    lstm = randomised(LowRankLSTM(4, 5, {"weight_ih_l0": 2}))
    x = torch.randn(10, 3, 4) * 1e4
    with torch.no_grad():
        assert_close([lstm(x)[0]], [merge(lstm)(x)[0]])


def test_not_a_number_comes_out_as_it_went_in():
    lstm = randomised(LowRankLSTM(4, 5, {"weight_ih_l0": 2}))
    x = torch.randn(6, 2, 4)
    x[3, 1] = torch.nan
    with torch.no_grad():
        y, _ = lstm(x)
    assert y[3:, 1].isnan().all()
    assert y[:, 0].isfinite().all()
    assert y[:3, 1].isfinite().all()


def test_dropout_acts_between_layers_in_training_only():
    lstm = randomised(LowRankLSTM(4, 5, {"weight_ih_l0": 2}, num_layers=2, dropout=0.5))
    x = torch.randn(6, 2, 4)
    assert not torch.equal(lstm(x)[0], lstm(x)[0])
    assert torch.equal(lstm.eval()(x)[0], lstm(x)[0])


def test_states_passed_in_are_left_alone():
    lstm, cell = LowRankLSTM(4, 5, {"weight_hh_l0": 2}), LowRankLSTMCell(4, 5, {"weight_hh": 2})
    with torch.no_grad():
        for module, shape, x in ((lstm, (1, 2, 5), torch.randn(3, 2, 4)), (cell, (2, 5), torch.randn(2, 4))):
            hx = torch.randn(shape), torch.randn(shape)
            before = copy.deepcopy(hx)
            randomised(module)(x, hx)
            assert_close(hx, before)


def test_doubles_are_computed_without_the_kernel():
    lstm = randomised(LowRankLSTM(4, 5, {"weight_hh_l0": 2})).double()
    x = torch.randn(3, 2, 4, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(lstm(x)[0], merge(lstm)(x)[0])


def test_the_kernel_is_compiled_here():
    with torch.no_grad():
        assert lstm_kernel.usable(torch.zeros(1))


def test_without_the_kernel_the_result_is_the_same_and_a_warning_is_logged(monkeypatch, caplog):
    lstm = randomised(LowRankLSTM(4, 5, {"weight_hh_l0": 2}))
    x = torch.randn(3, 2, 4)
    with torch.no_grad():
        expected = lstm(x)[0]
        monkeypatch.setattr(lstm_kernel, "LIBRARY", "shrinkml.compression._never_compiled")
        lstm_kernel._library.cache_clear()
        with caplog.at_level(logging.WARNING):
            torch.testing.assert_close(lstm(x)[0], expected, atol=TOLERANCE, rtol=TOLERANCE)
    lstm_kernel._library.cache_clear()
    assert "the compiled LSTM kernel is missing" in caplog.text


def test_repr_shows_the_ranks():
    assert "ranks={'weight_hh_l0': 2}" in repr(LowRankLSTM(4, 5, {"weight_hh_l0": 2}))
