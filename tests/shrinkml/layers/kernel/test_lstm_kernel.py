import logging
import warnings

import pytest
import torch
from torch import nn

from shrinkml.layers.kernel import lstm_kernel
from shrinkml.layers.lstm import FormLSTM
from shrinkml.weights.dense import Dense
from tests.shrinkml.layers.at_ranks import at_ranks


@pytest.fixture
def lstm():
    torch.manual_seed(0)
    lstm = FormLSTM(4, 5, at_ranks(weight_hh_l0=2))
    for parameter in lstm.parameters():
        nn.init.normal_(parameter)
    return lstm


def test_the_kernel_is_compiled_here():
    assert lstm_kernel.usable(torch.zeros(1))


def test_the_kernel_is_for_float32_on_a_cpu():
    assert not lstm_kernel.usable(torch.zeros(1, dtype=torch.float64))
    assert not lstm_kernel.usable(torch.zeros(1, device="meta"))


def test_a_traced_graph_holds_the_layer_and_not_its_result(lstm):
    x, other = torch.randn(3, 2, 4), torch.randn(3, 2, 4)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, but exporters still use it
        traced = torch.jit.trace(lstm, x)
        torch.testing.assert_close(traced(other)[0], lstm(other)[0], atol=1e-5, rtol=1e-5)


@pytest.fixture
def no_library(monkeypatch):
    monkeypatch.setattr(lstm_kernel, "LIBRARY", "shrinkml.layers.kernel._never_compiled")
    lstm_kernel._library.cache_clear()
    yield
    lstm_kernel._library.cache_clear()


def test_without_the_kernel_the_result_is_the_same_and_a_warning_is_logged(lstm, caplog, request):
    x = torch.randn(3, 2, 4)
    with torch.no_grad():
        expected, _ = lstm(x)
        request.getfixturevalue("no_library")
        with caplog.at_level(logging.WARNING):
            torch.testing.assert_close(lstm(x)[0], expected, atol=1e-5, rtol=1e-5)
    assert "the compiled LSTM kernel is missing" in caplog.text


@torch.no_grad()
def test_large_gates_saturate_and_do_not_overflow(lstm):
    y, (_, c) = lstm(torch.randn(10, 3, 4) * 1e4)
    assert y.abs().max() <= 1.0
    assert c.abs().max() <= 10.0


@torch.no_grad()
def test_not_a_number_stays_in_its_sequence_and_does_not_vanish(lstm):
    x = torch.randn(6, 2, 4)
    x[3, 1] = torch.nan
    y, _ = lstm(x)
    assert y[3:, 1].isnan().all()
    assert y[:, 0].isfinite().all()
    assert y[:3, 1].isfinite().all()


@torch.no_grad()
def test_a_sequences_result_is_the_same_to_the_bit_in_every_batch():
    # The input matrix is dense here: a `down` factor is applied by torch, whose sums depend on the batch.
    lstm = FormLSTM(20, 33, at_ranks(weight_hh_l0=9))
    for parameter in lstm.parameters():
        nn.init.normal_(parameter, std=0.2)
    x = torch.randn(40, 7, 20)
    together, _ = lstm(x)
    for i in range(7):
        alone, _ = lstm(x[:, i : i + 1])
        assert torch.equal(alone[:, 0], together[:, i])


@torch.no_grad()
@pytest.mark.parametrize(
    ("x", "hx", "match"),
    [
        (torch.zeros(3, 2, 7), None, r"got torch.float32 \[20, 4\] on cpu where .* ask for float32 \[20, 7\]"),
        (
            torch.zeros(3, 2, 4),
            (torch.zeros(1, 1, 5),) * 2,
            r"6 frames of 1 sequences do not fit batch_sizes \[2, 2, 2\]",
        ),
    ],
    ids=["input", "state"],
)
def test_wrong_shapes_are_refused_before_the_kernel_reads_beyond_them(lstm, x, hx, match):
    with pytest.raises(ValueError, match=match):
        lstm(x, hx)


@torch.no_grad()
def test_weights_that_are_not_in_float32_are_refused(lstm):
    with pytest.raises(ValueError, match=r"got torch.float64 .* ask for float32"):
        lstm.double()(torch.zeros(3, 2, 4))


@torch.no_grad()
def test_frames_that_do_not_match_the_batch_sizes_are_refused():
    state = torch.zeros(4, 5), torch.zeros(4, 5)
    weights = Dense(torch.zeros(20, 4)), Dense(torch.zeros(20, 5))
    with pytest.raises(ValueError, match=r"6 frames of 4 sequences do not fit batch_sizes \[4, 3\]"):
        lstm_kernel.lstm_direction(torch.zeros(6, 4), torch.tensor([4, 3]), *weights, [], state, reverse=False)


@torch.no_grad()
def test_a_cell_refuses_a_state_of_the_wrong_shape():
    with pytest.raises(ValueError, match=r"ask for float32 \[3, 20\]"):
        lstm_kernel.lstm_gates(torch.zeros(2, 20), torch.zeros(3, 5))
