"""The oracle throughout is torch's own layer with the products of the factors as weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from shrinkml.compression.calibration import calibrate
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import current_plan, find_layers, model_cost
from shrinkml.compression.surgery import merge, reshape
from shrinkml.layers.gru import STEPPED_UNITS, FormGRU
from shrinkml.plan.compression_plan import CompressionPlan
from tests.shrinkml.layers.at_ranks import at_ranks

drawn = settings(deadline=None, max_examples=15)
TOLERANCE = 1e-5  # float32 rounding; gates and states are of order one


def assert_close(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=TOLERANCE, rtol=TOLERANCE)


@st.composite
def layers(draw):
    """A GRU, some of its matrices (one at least) at a rank."""
    gru = nn.GRU(
        draw(st.integers(1, 20)),
        draw(st.integers(1, 20)),
        num_layers=draw(st.integers(1, 2)),
        bidirectional=draw(st.booleans()),
        bias=draw(st.booleans()),
        batch_first=draw(st.booleans()),
    )
    specs = draw(st.lists(st.sampled_from(find_layers(gru)), min_size=1, unique=True))
    return factorize(
        gru,
        CompressionPlan.of_ranks({spec.name: draw(st.integers(1, spec.max_rank)) for spec in specs}),
        decompose(gru),
    )


def state(gru, batch):
    return torch.randn((1 + gru.bidirectional) * gru.num_layers, batch, gru.hidden_size)


@drawn
@given(gru=layers(), batch=st.integers(1, 5), steps=st.integers(1, 20), with_state=st.booleans())
def test_tensors_are_read_as_by_torch(gru, batch, steps, with_state):
    x = torch.randn((batch, steps, gru.input_size) if gru.batch_first else (steps, batch, gru.input_size))
    hx = state(gru, batch) if with_state else None
    assert_close(gru(x, hx), merge(gru)(x, hx))


@drawn
@given(gru=layers(), lengths=st.lists(st.integers(1, 20), min_size=1, max_size=6), with_state=st.booleans())
def test_packed_sequences_are_read_as_by_torch(gru, lengths, with_state):
    packed = pack_sequence([torch.randn(n, gru.input_size) for n in lengths], enforce_sorted=False)
    hx = state(gru, len(lengths)) if with_state else None
    (y, h), (expected_y, expected_h) = gru(packed, hx), merge(gru)(packed, hx)
    assert_close((y.data, h), (expected_y.data, expected_h))
    assert torch.equal(y.unsorted_indices, packed.unsorted_indices)


def test_a_single_sequence_needs_no_batch_dimension():
    dense = nn.GRU(5, 4, bidirectional=True)
    gru = factorize(dense, CompressionPlan.of_ranks({"weight_hh_l0": 2, "weight_ih_l0_reverse": 3}), decompose(dense))
    x, hx = torch.randn(6, 5), torch.randn(2, 4)
    assert_close(gru(x, hx), merge(gru)(x, hx))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("lengths", [[9, 4, 9, 1], [6, 6]])
def test_steps_through_the_factors_give_what_torch_gives_with_their_product(bias, lengths):
    dense = nn.GRU(30, STEPPED_UNITS, bidirectional=True, bias=bias)
    ranks = {"weight_hh_l0": 40, "weight_hh_l0_reverse": 9, "weight_ih_l0": 7}
    gru = factorize(dense, CompressionPlan.of_ranks(ranks), decompose(dense))
    packed = pack_sequence([torch.randn(n, 30) for n in lengths], enforce_sorted=False)
    hx = state(gru, len(lengths))
    before = hx.clone()
    with torch.no_grad():
        (y, h), (expected_y, expected_h) = gru(packed, hx), merge(gru)(packed, hx)
    assert_close((y.data, h, hx), (expected_y.data, expected_h, before))


def test_factors_learn_as_the_product_does():
    gru = nn.GRU(6, 5)
    small = factorize(gru, CompressionPlan.of_ranks({"weight_ih_l0": 3, "weight_hh_l0": 2}), decompose(gru))
    dense, x = merge(small), torch.randn(7, 2, 6)
    for model in (small, dense):
        model(x)[0].square().sum().backward()
    for name in ("weight_ih_l0", "weight_hh_l0"):
        gradient = dense.get_parameter(name).grad @ small.get_parameter(f"{name}_down").T
        torch.testing.assert_close(small.get_parameter(f"{name}_up").grad, gradient)


def test_full_ranks_change_nothing_and_a_plan_costs_what_it_says():
    gru = nn.GRU(9, 8, num_layers=2, bidirectional=True)
    x = torch.randn(7, 3, 9)
    full = factorize(
        gru, CompressionPlan.of_ranks({layer.name: layer.max_rank for layer in find_layers(gru)}), decompose(gru)
    )
    assert_close(full(x), gru(x))
    plan = CompressionPlan.of_ranks({layer.name: 2 for layer in find_layers(gru)})
    small = factorize(gru, plan, decompose(gru))
    assert model_cost(gru).parameters(plan) == sum(p.numel() for p in small.parameters())
    assert {layer.kind for layer in find_layers(gru)} == {"lstm_input", "lstm_recurrent"}


def test_stored_weights_come_back_into_the_shape_that_the_plan_gives():
    gru = nn.GRU(9, 8)
    small = factorize(gru, CompressionPlan.of_ranks({"weight_ih_l0": 3}), decompose(gru))
    back = reshape(nn.GRU(9, 8), current_plan(small))
    back.load_state_dict(small.state_dict())
    x = torch.randn(4, 2, 9)
    assert torch.equal(back(x)[0], small(x)[0])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_matrices_are_described_by_the_frames_and_by_the_state_before_each(bidirectional):
    gru = nn.GRU(3, 4, bidirectional=bidirectional)
    sequences = [torch.randn(n, 3) for n in (5, 2, 7)]
    stats = calibrate(gru, lambda: gru(pack_sequence(sequences, enforce_sorted=False)))
    for suffix in ("l0", "l0_reverse")[: 1 + bidirectional]:
        cell = nn.GRUCell(3, 4)  # stepped by hand
        cell.load_state_dict({name: gru.get_parameter(f"{name}_{suffix}") for name in cell.state_dict()})
        before = []
        with torch.no_grad():
            for sequence in sequences:
                h = torch.zeros(1, 4)
                for frame in sequence.flip(0) if "reverse" in suffix else sequence:
                    before.append(h)
                    h = cell(frame[None], h)
        states = torch.cat(before)
        torch.testing.assert_close(stats[f"weight_hh_{suffix}"].gram, states.T @ states, atol=1e-4, rtol=1e-4)
        frames = torch.cat(sequences)
        torch.testing.assert_close(stats[f"weight_ih_{suffix}"].gram, frames.T @ frames, atol=1e-4, rtol=1e-4)


def test_dropout_acts_between_layers_in_training_only():
    gru = FormGRU.of(nn.GRU(4, 5, num_layers=2, dropout=0.5))
    x = torch.randn(6, 2, 4)
    assert not torch.equal(gru(x)[0], gru(x)[0])
    assert torch.equal(gru.eval()(x)[0], gru(x)[0])


def test_torchs_layer_can_be_seen_as_a_low_rank_one_that_shares_its_parameters():
    gru = nn.GRU(4, 5, bidirectional=True).eval()
    same = FormGRU.of(gru)
    assert same.get_parameter("weight_hh_l0_reverse") is gru.weight_hh_l0_reverse
    assert not same.training
    assert FormGRU.of(same) is same


def test_repr_shows_the_ranks():
    assert "choices={'weight_hh_l0': 2}" in repr(FormGRU(4, 5, at_ranks(weight_hh_l0=2)))
