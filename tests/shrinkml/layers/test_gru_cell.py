"""The oracle is torch's own cell with the products of the factors as weights."""

import pytest
import torch
from torch import nn

from shrinkml.compression.calibration import calibrate
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.compression.surgery import merge
from shrinkml.layers.gru_cell import FormGRUCell
from shrinkml.plan.compression_plan import CompressionPlan
from tests.shrinkml.layers.at_ranks import at_ranks


def cell(ranks, bias=True):
    dense = nn.GRUCell(6, 8, bias=bias)
    return factorize(dense, CompressionPlan.of_ranks(ranks), decompose(dense))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("ranks", [{"weight_ih": 2}, {"weight_hh": 3}, {"weight_ih": 1, "weight_hh": 2}])
@pytest.mark.parametrize("batch", [(), (5,)])
def test_a_step_is_torchs(ranks, bias, batch):
    low_rank = cell(ranks, bias)
    dense, x, h = merge(low_rank), torch.randn(*batch, 6), torch.randn(*batch, 8)
    assert type(dense) is nn.GRUCell
    torch.testing.assert_close(low_rank(x, h), dense(x, h), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(low_rank(x), dense(x), atol=1e-5, rtol=1e-5)


def test_full_ranks_change_nothing():
    dense, x = nn.GRUCell(6, 8), torch.randn(5, 6)
    full = factorize(
        dense, CompressionPlan.of_ranks({layer.name: layer.max_rank for layer in find_layers(dense)}), decompose(dense)
    )
    torch.testing.assert_close(full(x), dense(x), atol=1e-5, rtol=1e-5)


def test_cells_are_described_by_their_input_and_state():
    dense, x, h = nn.GRUCell(6, 8), torch.randn(5, 6), torch.randn(5, 8)
    stats = calibrate(dense, lambda: (dense(x), dense(x, h)))
    torch.testing.assert_close(stats["weight_ih"].gram, 2 * x.T @ x)
    torch.testing.assert_close(stats["weight_hh"].gram, h.T @ h)
    assert stats["weight_hh"].n_frames == 10


def test_repr_shows_the_ranks():
    assert "choices={'weight_hh': 2}" in repr(FormGRUCell(4, 5, at_ranks(weight_hh=2)))
