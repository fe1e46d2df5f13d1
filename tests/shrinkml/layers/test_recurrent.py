"""The oracles are torch's own layers, which both kinds of recurrent layer share their shapes and names with."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from shrinkml.layers.gru import FormGRU
from shrinkml.layers.lstm import FormLSTM
from shrinkml.layers.recurrent import matrices, suffixes
from tests.shrinkml.layers.at_ranks import at_ranks

KINDS = pytest.mark.parametrize(("ours", "torchs"), [(FormLSTM, nn.LSTM), (FormGRU, nn.GRU)])


@KINDS
@pytest.mark.parametrize("bias", [True, False])
def test_parameters_are_named_shaped_and_ordered_as_torchs(ours, torchs, bias):
    options = {"num_layers": 2, "bias": bias, "bidirectional": True}
    layers = ours(3, 4, {}, **options), torchs(3, 4, **options)
    found, expected = ([(name, p.shape) for name, p in layer.named_parameters()] for layer in layers)
    assert found == expected


@KINDS
def test_each_layer_tells_what_it_read_and_gave(ours, torchs):
    torch.manual_seed(0)
    dense = torchs(3, 4, num_layers=2, bidirectional=True).eval()
    packed = pack_sequence([torch.randn(n, 3) for n in (5, 2)])
    with torch.no_grad():
        first, second = ours.of(dense).run_layers(packed)
        output, _ = dense(packed)
    assert torch.equal(first.input, packed.data)
    assert torch.equal(second.input, first.output)
    assert torch.equal(second.batch_sizes, packed.batch_sizes)
    torch.testing.assert_close(second.output, output.data, atol=1e-5, rtol=1e-5)
    assert all(state.shape == (2, 2, 4) for run in (first, second) for state in (*run.initial, *run.final))
    assert len(first.final) == len(first.initial) == ours.n_states


def test_directions_end_in_torchs_suffixes():
    assert suffixes(nn.LSTM(2, 2), 1) == ("l1",)
    assert suffixes(nn.GRU(2, 2, bidirectional=True), 0) == ("l0", "l0_reverse")


def test_a_layer_that_projects_its_state_holds_no_matrix_for_surgery():
    assert list(matrices(nn.LSTM(4, 6, proj_size=2))) == []
    assert list(matrices(nn.LSTM(4, 6))) == [("weight_ih_l0", "lstm_input"), ("weight_hh_l0", "lstm_recurrent")]


PRIVATE = {  # of torch's: for its script and its flat memory; what would draw new weights is missing, and so is told
    "__constants__",
    "__jit_unused_properties__",
    "check_forward_args",
    "check_input",
    "permute_hidden",
    "reset_parameters",
}


@KINDS
def test_what_people_ask_a_recurrent_layer_of_torchs_they_may_ask_ours(ours, torchs):
    options = {"num_layers": 2, "bidirectional": True, "batch_first": True}
    dense, small = torchs(3, 4, **options), ours(3, 4, at_ranks(weight_hh_l1=2), **options)
    asked = {name for name in dir(dense) if not name.startswith(("_flat", "_all", "_init_", "_update", "_weights"))}
    assert not asked - set(dir(small)) - PRIVATE - {"weight_hh_l1"}
    for name in ("input_size", "hidden_size", "mode", *options, "bias", "dropout", "proj_size"):
        assert getattr(small, name) == getattr(dense, name)
    assert small.flatten_parameters() is None
    assert small.weight_hh_l1.shape == dense.weight_hh_l1.shape
    shapes = [[[weight.shape for weight in weights] for weights in layer.all_weights] for layer in (small, dense)]
    assert shapes[0] == shapes[1]
    x, sizes = torch.randn(2, 5, 3), None
    assert small.get_expected_hidden_size(x, sizes) == dense.get_expected_hidden_size(x, sizes) == (4, 2, 4)
    with pytest.raises(AttributeError, match="no attribute 'reset_parameters'"):
        small.reset_parameters()
