import pytest
import torch

from shrinkml.compression.calibration import LayerStats
from shrinkml.compression.factorizers import pca
from shrinkml.compression.unit_flow.fed_columns import Columns, mean_shift
from shrinkml.weights.dense import Dense
from shrinkml.weights.low_rank import LowRank


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(300, 4, generator=generator) @ torch.randn(4, 8, generator=generator)
    return mixed + 0.2 * torch.randn(300, 8, generator=generator) + 1.0


@pytest.fixture
def weight():
    return torch.randn(5, 8, generator=torch.Generator().manual_seed(1))


COLUMNS = Columns(torch.tensor([0, 1, 3, 4, 6]), torch.tensor([2, 5, 7]))


def decomposition(weight, inputs):
    return pca(Dense(weight), LayerStats(inputs.T @ inputs, inputs.sum(0), len(inputs)), damping=1e-9)


def error(inputs, weight, small, shift):
    return float((inputs @ weight.T - small.multiply(inputs[:, COLUMNS.left]) - shift).square().sum())


def test_the_columns_left_make_up_for_those_cut_as_a_regression_does(inputs, weight):
    found = decomposition(weight, inputs)
    small = COLUMNS.of_form(Dense(weight), found)
    shift = mean_shift(Dense(weight), small, found.mean, COLUMNS, None)
    known = torch.cat([inputs[:, COLUMNS.left], torch.ones(300, 1)], 1)
    least = (inputs @ weight.T - known @ torch.linalg.lstsq(known, inputs @ weight.T).solution).square().sum()
    assert error(inputs, weight, small, shift) == pytest.approx(float(least), rel=1e-3)


def test_a_decomposition_of_all_ranks_is_the_same_matrix_and_knows_its_inputs(inputs, weight):
    found = decomposition(weight, inputs)
    narrow = COLUMNS.of_decomposition(found)
    dense = COLUMNS.of_form(Dense(weight), found).dense()
    torch.testing.assert_close(LowRank(*narrow.at_rank(narrow.max_rank)).dense(), dense, atol=1e-4, rtol=0.0)
    centred = inputs[:, COLUMNS.left] - inputs[:, COLUMNS.left].mean(0)
    torch.testing.assert_close(narrow.root @ narrow.root.T, centred.T @ centred, atol=0.05, rtol=1e-3)
    torch.testing.assert_close(narrow.mean, inputs[:, COLUMNS.left].mean(0))


def test_the_rows_that_are_left_keep_their_mean(inputs, weight):
    found, rows = decomposition(weight, inputs), torch.tensor([1, 4])
    small = Dense(COLUMNS.of_form(Dense(weight), found).dense()[rows])
    shift = mean_shift(Dense(weight), small, found.mean, COLUMNS, rows)
    kept = small.multiply(inputs[:, COLUMNS.left]) + shift
    torch.testing.assert_close(kept.mean(0), (inputs @ weight[rows].T).mean(0), atol=1e-4, rtol=0.0)
