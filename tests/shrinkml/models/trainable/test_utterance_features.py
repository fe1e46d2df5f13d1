import numpy as np
import pytest

from shrinkml.errors import AudioError
from shrinkml.models.trainable.utterance_features import MIN_FRAMES, normalised_log_mel

NOISE = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)


def test_every_bin_has_zero_mean_and_unit_variance():
    features = normalised_log_mel(NOISE, 16_000, n_mels=8)
    assert features.shape == (98, 8)
    assert features.mean(0).abs().max() < 1e-4
    assert (features.std(0) - 1).abs().max() < 0.05


def test_silence_around_the_words_has_no_energy_below_the_quietest():
    """Digital silence lies far below noise; only where it counts as rounded noise does speech keep its spread."""
    silent = np.concatenate([np.zeros(16_000, np.float32), NOISE])
    assert normalised_log_mel(silent, 16_000, n_mels=8).abs().max() < 6


def test_a_click_is_filled_up_with_silence():
    assert normalised_log_mel(NOISE[:500], 16_000, n_mels=8).shape == (MIN_FRAMES, 8)


def test_less_than_a_frame_is_refused():
    with pytest.raises(AudioError, match="a waveform of 100 samples is shorter than one frame"):
        normalised_log_mel(NOISE[:100], 16_000, n_mels=8)
