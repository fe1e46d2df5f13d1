"""Two sequences: frames a0 a1 a2 and b0, packed as a0 b0 a1 a2."""

import torch

from shrinkml.layers.kernel.packed import locate_frames, padded_rows, previous_states, reversed_rows, sequence_lengths

BATCH_SIZES = torch.tensor([2, 1, 1])


def test_frames_know_their_step_and_sequence():
    step, sequence = locate_frames(BATCH_SIZES)
    assert step.tolist() == [0, 0, 1, 2]
    assert sequence.tolist() == [0, 1, 0, 0]


def test_sequence_lengths():
    assert sequence_lengths(BATCH_SIZES).tolist() == [3, 1]


def test_rows_in_a_padded_tensor_follow_time_and_backwards_start_at_each_sequences_end():
    assert padded_rows(BATCH_SIZES, reverse=False).tolist() == [0, 1, 2, 4]
    assert padded_rows(BATCH_SIZES, reverse=True).tolist() == [4, 1, 2, 0]


def test_turned_round_each_sequence_starts_with_its_last_frame():
    assert reversed_rows(BATCH_SIZES).tolist() == [3, 1, 2, 0]


def test_states_before_start_from_the_initial_state():
    initial, states = torch.tensor([[10.0], [20.0]]), torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    forward = previous_states(states, initial, BATCH_SIZES, reverse=False)
    backward = previous_states(states, initial, BATCH_SIZES, reverse=True)
    assert forward.flatten().tolist() == [10.0, 20.0, 1.0, 3.0]
    assert backward.flatten().tolist() == [3.0, 20.0, 4.0, 10.0]
