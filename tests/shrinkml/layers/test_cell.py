"""The oracles are torch's own cells, which both kinds of cell share their shapes and names with."""

import pytest
import torch
from torch import nn

from shrinkml.layers.cell import inputs, matrices
from shrinkml.layers.gru_cell import FormGRUCell
from shrinkml.layers.lstm_cell import FormLSTMCell


@pytest.mark.parametrize(("ours", "torchs"), [(FormLSTMCell, nn.LSTMCell), (FormGRUCell, nn.GRUCell)])
@pytest.mark.parametrize("bias", [True, False])
def test_cells_are_named_shaped_and_ordered_as_torchs(ours, torchs, bias):
    layers = ours(3, 4, {}, bias=bias), torchs(3, 4, bias=bias)
    found, expected = ([(name, p.shape) for name, p in layer.named_parameters()] for layer in layers)
    assert found == expected


@pytest.mark.parametrize("ours", [FormLSTMCell, FormGRUCell])
def test_the_share_of_each_matrix_in_the_gates_is_its_product_and_bias(ours):
    torch.manual_seed(0)
    cell, x, h = ours(3, 4, {}), torch.randn(2, 3), torch.randn(2, 4)
    for parameter in cell.parameters():
        nn.init.normal_(parameter)
    given, recurrent = cell.gates(x, h)
    torch.testing.assert_close(given, x @ cell.weight_ih.T + cell.bias_ih)
    torch.testing.assert_close(recurrent, h @ cell.weight_hh.T + cell.bias_hh)


@pytest.mark.parametrize("cell", [nn.LSTMCell(3, 4), FormGRUCell(3, 4, {})])
def test_the_matrices_are_given_the_input_and_the_state_or_zeros(cell):
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    assert [name for name, _ in matrices(cell)] == ["weight_ih", "weight_hh"]
    for state, expected in ((None, torch.zeros(2, 4)), (h, h), ((h, x), h)):
        (_, given), (_, before) = inputs(cell, x, state)
        assert torch.equal(given, x)
        assert torch.equal(before, expected)
