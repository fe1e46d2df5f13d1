import numpy as np
import pytest

import shrinkml
from shrinkml.models.huggingface.base_model import HuggingFaceModel


@pytest.fixture(scope="module")
def whisper(stock_dir):
    return shrinkml.load(stock_dir("whisper"))


def test_it_hears_as_long_as_its_feature_extractor(whisper, stock_dir):
    assert (whisper.sample_rate_hz, whisper.longest_s) == (16_000, 2.0)
    assert shrinkml.load(stock_dir("wav2vec2")).longest_s is None


def test_its_features_are_those_of_its_feature_extractor(whisper):
    waveform = np.random.default_rng(0).normal(0, 0.1, 8_000).astype(np.float32)
    expected = whisper.speech.extractor(waveform, sampling_rate=16_000, return_tensors="pt").input_features[0].T
    found = whisper.features(waveform)
    assert found.equal(expected[: len(found)])
    assert expected[len(found) :].eq(expected[-1]).all(), "only silence is left out"


def test_letters_without_an_output_cannot_be_written(stock_dir):
    """The tokenizer of the stock model knows as many tokens as the network has outputs: a copy knows fewer."""
    model = shrinkml.load(stock_dir("wav2vec2"))
    assert model.misfit("turn on") is None
    model.n_outputs = model.text.encode("t")[0]
    assert model.misfit("turn on") == (
        "a transcript with 'T', 'U', for which this model has no output: leave the utterance out or rewrite it"
    )


def test_attention_is_written_out_only_while_it_learns(whisper):
    resting = whisper.network.config._attn_implementation
    assert whisper.train() is whisper
    assert whisper.network.config._attn_implementation == "eager"
    whisper.eval()
    assert whisper.network.config._attn_implementation == resting


def test_the_module_to_compress_is_the_model_itself(whisper):
    assert isinstance(whisper, HuggingFaceModel)
    assert whisper.module is whisper
