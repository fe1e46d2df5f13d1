import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from shrinkml.compression import disk_room
from shrinkml.compression.calibration import calibrate, calls_per_s, measure_use
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.errors import CalibrationError
from shrinkml.plan.compression_plan import CompressionPlan


def gram(frames):
    return frames.T @ frames


def hidden_states_before(lstm, sequence, suffix):
    """The oracle: torch's cell, stepped by hand through one sequence [time, in]; returns [time, units]."""
    cell = nn.LSTMCell(lstm.input_size, lstm.hidden_size)
    cell.load_state_dict({name: lstm.get_parameter(f"{name}_{suffix}") for name in cell.state_dict()})
    frames = sequence.flip(0) if "reverse" in suffix else sequence
    h = c = torch.zeros(1, lstm.hidden_size)
    before = []
    with torch.no_grad():
        for frame in frames:
            before.append(h)
            h, c = cell(frame[None], (h, c))
    return torch.cat(before)


@settings(deadline=None, max_examples=15)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), bidirectional=st.booleans())
def test_recurrent_matrices_see_the_state_before_each_frame_of_packed_sequences(lengths, bidirectional):
    lstm = nn.LSTM(3, 4, bidirectional=bidirectional)
    sequences = [torch.randn(length, 3) for length in lengths]
    stats = calibrate(lstm, lambda: lstm(pack_sequence(sequences, enforce_sorted=False)))
    for suffix in ("l0", "l0_reverse")[: 1 + bidirectional]:
        expected = torch.cat([hidden_states_before(lstm, sequence, suffix) for sequence in sequences])
        torch.testing.assert_close(stats[f"weight_hh_{suffix}"].gram, gram(expected), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(stats[f"weight_ih_{suffix}"].gram, gram(torch.cat(sequences)), atol=1e-4, rtol=1e-4)
        assert stats[f"weight_hh_{suffix}"].n_frames == sum(lengths)


def test_a_second_layer_sees_the_first_ones_outputs():
    lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    first = nn.LSTM(3, 4, bidirectional=True)
    first.load_state_dict({name: value for name, value in lstm.state_dict().items() if "l0" in name})
    x = torch.randn(7, 2, 3)
    stats = calibrate(lstm, lambda: lstm(x))
    torch.testing.assert_close(stats["weight_ih_l1"].gram, gram(first(x)[0].flatten(0, 1)))


def test_linear_inputs_are_summed_over_calls_and_leading_dimensions():
    linear = nn.Linear(3, 4)
    x, y = torch.randn(2, 5, 3), torch.randn(6, 3)
    stats = calibrate(linear, lambda: (linear(x), linear(input=y)))
    torch.testing.assert_close(stats["weight"].gram, gram(torch.cat([x.flatten(0, 1), y])))
    assert stats["weight"].n_frames == 16


def test_cells_are_described_by_their_input_and_state():
    cell = nn.LSTMCell(3, 4)
    x, h = torch.randn(5, 3), torch.randn(5, 4)
    stats = calibrate(cell, lambda: (cell(x), cell(x, (h, torch.zeros(5, 4)))))
    torch.testing.assert_close(stats["weight_ih"].gram, 2 * gram(x))
    torch.testing.assert_close(stats["weight_hh"].gram, gram(h))
    assert stats["weight_hh"].n_frames == 10


def test_low_rank_layers_are_calibrated_like_the_dense_ones_that_they_equal(recogniser, batch):
    full_rank = CompressionPlan.of_ranks({layer.name: layer.max_rank for layer in find_layers(recogniser)})
    model = factorize(recogniser, full_rank, decompose(recogniser))
    dense = calibrate(recogniser, lambda: recogniser(*batch))
    low_rank = calibrate(model, lambda: model(*batch))
    assert dense.keys() == low_rank.keys()
    for layer in dense:
        torch.testing.assert_close(low_rank[layer].gram, dense[layer].gram, atol=1e-4, rtol=1e-4)


def test_a_tied_embedding_is_described_by_the_output_layer_alone(recogniser, batch):
    stats = calibrate(recogniser, lambda: recogniser(*batch))
    assert stats["embedding.weight"].gram.shape == (10, 10)
    assert stats["embedding.weight"].n_frames == 3 * 4


def test_layers_that_do_not_work_are_left_out(recogniser):
    stats = calibrate(recogniser, lambda: recogniser.query(torch.randn(2, 16)))
    assert stats.keys() == {"query.weight"}


def test_calls_per_second_are_frames_over_the_length_of_the_speech():
    linear = nn.Linear(3, 4)
    assert calls_per_s(measure_use(linear, lambda: linear(torch.randn(30, 3))), audio_s=1.5) == {"weight": 20.0}


def test_use_counts_what_statistics_count_and_finds_the_largest_call(recogniser, batch):
    stats = calibrate(recogniser, lambda: (recogniser(*batch), recogniser.query(torch.randn(100, 16))))
    uses = measure_use(recogniser, lambda: (recogniser(*batch), recogniser.query(torch.randn(100, 16))))
    assert {name: use.n_frames for name, use in uses.items()} == {name: one.n_frames for name, one in stats.items()}
    assert uses["query.weight"].largest == 100 * (16 + recogniser.query.out_features)


def test_gram_matrices_lie_on_the_disk_of_the_folder_and_nowhere_in_it(recogniser, batch, tmp_path, monkeypatch):
    monkeypatch.setattr(disk_room, "LARGE_BYTES", 1)
    folders = []
    kept = disk_room.TemporaryFile
    monkeypatch.setattr(disk_room, "TemporaryFile", lambda dir: folders.append(dir) or kept(dir=dir))
    stats = calibrate(recogniser, lambda: recogniser(*batch), tmp_path)
    elsewhere = calibrate(recogniser, lambda: recogniser(*batch))
    assert {*folders} == {tmp_path, None}
    assert not list(tmp_path.iterdir())
    assert stats.keys() == elsewhere.keys()
    assert all(torch.equal(stats[name].gram, elsewhere[name].gram) for name in stats)


def test_layers_that_are_always_fed_the_same_tensor_share_their_statistics():
    layers = nn.ModuleDict({name: nn.Linear(3, 2) for name in ("query", "key", "value", "other")})
    stats = calibrate(layers, lambda: [_attend(layers, torch.randn(5, 3)) for _ in range(3)])
    assert stats["query.weight"] is stats["key.weight"] is stats["value.weight"]
    assert stats["other.weight"] is not stats["query.weight"]


def test_a_tensor_that_was_changed_in_place_is_not_taken_for_the_same():
    layers = nn.ModuleDict({name: nn.Linear(3, 2) for name in ("query", "key", "value", "other")})
    x = torch.randn(5, 3)

    def run():
        _attend(layers, x.clone())
        changed = x.clone()
        layers["query"](changed)
        layers["key"](changed.mul_(2))

    stats = calibrate(layers, run)
    torch.testing.assert_close(stats["query.weight"].gram, 2 * gram(x))
    torch.testing.assert_close(stats["key.weight"].gram, 5 * gram(x))
    torch.testing.assert_close(stats["value.weight"].gram, gram(x))


def _attend(layers, x):
    for name in ("query", "key", "value"):
        layers[name](x)
    layers["other"](x + 1)


def test_hooks_are_gone_afterwards_even_when_the_run_fails(recogniser, batch):
    def run():
        recogniser(*batch)
        raise KeyError("broken audio")

    with pytest.raises(KeyError, match="broken audio"):
        calibrate(recogniser, run)
    assert not any(module._forward_pre_hooks for module in recogniser.modules())


def test_a_run_that_reaches_no_layer_is_refused(recogniser):
    for measure in (calibrate, measure_use):
        with pytest.raises(CalibrationError, match="reached no factorizable layer"):
            measure(recogniser, lambda: None)


def test_inputs_that_are_not_finite_are_refused():
    linear = nn.Linear(3, 4)
    for measure in (calibrate, measure_use):
        with pytest.raises(CalibrationError, match="layer 'weight' got NaN or infinite inputs"):
            measure(linear, lambda: linear(torch.full((2, 3), torch.nan)))
