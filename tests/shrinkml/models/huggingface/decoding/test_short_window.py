import copy

import pytest
import torch

from shrinkml.models.huggingface.decoding.short_window import short_window, states_of, window_positions

WHOLE = 50  # positions, of two frames each


@pytest.fixture
def encoder():
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    shape = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "num_mel_bins": 8}
    torch.manual_seed(0)
    return WhisperEncoder(WhisperConfig(**shape, max_source_positions=WHOLE)).eval()


@pytest.fixture
def inputs():
    return torch.randn(2, 8, 2 * WHOLE, generator=torch.Generator().manual_seed(0))


def test_the_states_are_those_of_an_encoder_built_for_a_shorter_window(encoder, inputs):
    config = copy.deepcopy(encoder.config)
    config.max_source_positions = 20
    shorter = type(encoder)(config).eval()
    others = {name: tensor for name, tensor in encoder.state_dict().items() if name != "embed_positions.weight"}
    shorter.load_state_dict(others, strict=False)  # the positions are its own
    with torch.no_grad(), short_window(encoder, 20):
        torch.testing.assert_close(encoder(inputs)[0], shorter(inputs[..., :40])[0])


def test_a_window_of_all_positions_changes_nothing(encoder, inputs):
    before = encoder(inputs)[0]
    with short_window(encoder, WHOLE):
        assert torch.equal(encoder(inputs)[0], before)


def test_afterwards_the_encoder_hears_the_whole_window_again_errors_or_not(encoder, inputs):
    before = encoder(inputs)[0]
    with (
        pytest.raises(ValueError, match="expects the mel input features to be of length 40"),
        short_window(encoder, 20),
    ):
        encoder(inputs[..., :30])
    assert torch.equal(encoder(inputs)[0], before)
    assert encoder.config.max_source_positions == WHOLE


def test_named_inputs_are_cut_too(encoder, inputs):
    with torch.no_grad(), short_window(encoder, 20):
        assert torch.equal(encoder(input_features=inputs)[0], encoder(inputs)[0])


@pytest.mark.parametrize("n_positions", [20, WHOLE])
def test_states_without_a_window_are_those_in_one(encoder, inputs, n_positions):
    with torch.no_grad(), short_window(encoder, n_positions):
        torch.testing.assert_close(states_of(encoder, inputs[..., : 2 * n_positions]), encoder(inputs)[0])


@pytest.mark.parametrize(
    ("n_frames", "n_silent", "expected"), [(1, 0, 25), (50, 0, 25), (51, 0, 50), (20, 16, 50), (90, 9, 50)]
)
def test_windows_end_at_a_multiple_of_the_step_within_the_whole(encoder, n_frames, n_silent, expected):
    assert window_positions(encoder, n_frames, n_silent) == expected
