"""The oracle is torch's own LSTM on each sequence alone."""

import pytest
import torch
from torch import nn

from shrinkml.layers.kernel.padded_lstm import lstm_direction
from shrinkml.weights.dense import Dense
from shrinkml.weights.low_rank import LowRank


@pytest.mark.parametrize("lengths", [(5, 5), (6, 3, 1)], ids=["equal lengths", "different lengths"])
@pytest.mark.parametrize("rank", [None, 2], ids=["dense", "low rank"])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_direction_is_torchs_on_each_sequence(lengths, rank, reverse):
    torch.manual_seed(0)
    n_in, units = 4, 3
    if rank is None:
        forms = [Dense(torch.randn(4 * units, columns)) for columns in (n_in, units)]
    else:
        forms = [LowRank(torch.randn(4 * units, rank), torch.randn(rank, columns)) for columns in (n_in, units)]
    biases = [torch.randn(4 * units) for _ in range(2)]
    oracle = nn.LSTM(n_in, units)
    values = [*(form.dense() for form in forms), *biases]
    for parameter, value in zip(oracle.parameters(), values, strict=True):
        parameter.data = value
    sequences = [torch.randn(length, n_in) for length in lengths]
    packed = nn.utils.rnn.pack_sequence(sequences)
    state = torch.randn(len(lengths), units), torch.randn(len(lengths), units)
    output, h, c = lstm_direction(packed.data, packed.batch_sizes, *forms, biases, state, reverse=reverse)
    padded, _ = nn.utils.rnn.pad_packed_sequence(nn.utils.rnn.PackedSequence(output, packed.batch_sizes))
    for i, sequence in enumerate(sequences):
        frames = sequence.flip(0) if reverse else sequence
        expected, (expected_h, expected_c) = oracle(frames, (state[0][i : i + 1], state[1][i : i + 1]))
        found = padded[: len(sequence), i]
        torch.testing.assert_close(found.flip(0) if reverse else found, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close((h[i : i + 1], c[i : i + 1]), (expected_h, expected_c), atol=1e-5, rtol=1e-5)
