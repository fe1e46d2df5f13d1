import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import shrinkml
from shrinkml.errors import AudioError, ConfigError
from shrinkml.models.huggingface.speech_input import LEAST_S, Speech, alike

CPU = torch.device("cpu")


@pytest.fixture
def speech(stock_dir):
    """Model type -> what it is fed."""
    return lambda kind: shrinkml.load(stock_dir(kind)).speech


@pytest.mark.parametrize(
    ("kind", "form"),
    [("wav2vec2", "samples"), ("moonshine", "samples"), ("parakeet_ctc", "frames"), ("whisper", "window")],
)
def test_the_form_is_the_networks(speech, kind, form):
    assert speech(kind).form == form


@pytest.mark.parametrize("kind", ["wav2vec2", "parakeet_ctc", "speech_to_text", "whisper"])
def test_features_last_as_long_as_the_utterance(speech, kind, waveforms):
    one = speech(kind)
    for waveform in waveforms:
        assert one.seconds(one.features(waveform)) == pytest.approx(len(waveform) / 16_000, abs=0.04)


def test_shorter_waveforms_are_filled_up(speech):
    assert len(speech("wav2vec2").features(np.zeros(1, np.float32))) == LEAST_S * 16_000


def test_digital_silence_has_finite_features(speech):
    assert speech("wav2vec2").features(np.zeros(16_000, np.float32)).isfinite().all()


def test_more_than_a_window_is_refused(speech):
    with pytest.raises(AudioError, match=r"2\.1 s of audio; this model hears at most 2 s at once: cut the utterance"):
        speech("whisper").features(np.zeros(33_600, np.float32))


def test_a_window_is_filled_with_silence(speech, waveforms):
    one = speech("whisper")
    features = [one.features(waveform) for waveform in waveforms]
    values, mask = one.batch(features, CPU)
    assert mask is None
    assert values.shape == (3, 20, one.window)
    for row, heard in zip(values, features, strict=True):
        assert torch.equal(row[:, : len(heard)], heard.T)
        assert row[:, len(heard) :].eq(heard.min()).all()


def test_utterances_of_one_length_need_no_mask_and_others_do(speech, waveforms):
    one = speech("wav2vec2")
    long, short, _ = (one.features(waveform) for waveform in waveforms)
    assert one.batch([long, long], CPU).mask is None
    values, mask = one.batch([long, short], CPU)
    assert mask.sum(1).tolist() == [len(long), len(short)]
    assert values[1, len(short) :].eq(0).all()


def test_equal_ones_are_grouped():
    assert alike([3, 5, 3, 4]) == [[0, 2], [1], [3]]


@pytest.mark.parametrize("rate", [None, 0, 16_000.5, float("inf")])
def test_a_sampling_rate_that_is_none_is_refused(rate):
    extractor = SimpleNamespace(sampling_rate=rate, model_input_names=["input_values"])
    with pytest.raises(ConfigError, match=r"sampling_rate is .*; allowed: a whole number of samples per second"):
        Speech(extractor)


def test_copies_of_a_model_share_it(speech):
    one = speech("whisper")
    assert copy.deepcopy(one) is one
