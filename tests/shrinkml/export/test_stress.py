from bisect import bisect_left
from itertools import accumulate

import pytest
import torch

import shrinkml
from shrinkml.export.drawn import draw
from shrinkml.export.exporter import export
from shrinkml.export.int8.components import wer_by_component
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.export.stress import LONG_S, stress
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.models.tokenizer import END
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import save
from shrinkml.training.dataset import load_dataset


@pytest.fixture(scope="module")
def utterances(tiny_data):
    return read_manifest(tiny_data["dev"])


@pytest.fixture(scope="module")
def plain(tiny_model_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stress") / "onnx"
    export(tiny_model_dir, folder)
    return folder


@pytest.fixture(scope="module")
def deaf(tiny_model_dir, tmp_path_factory):
    """An export whose decoder ends every transcript at once."""
    folder = tmp_path_factory.mktemp("deaf")
    model = shrinkml.load(tiny_model_dir)
    model.output.bias.data[END] += 100.0
    save(model, folder / "model", dtype="float32")
    export(folder / "model", folder / "onnx")
    return folder / "onnx"


def test_all_speech_is_joined_to_long_utterances(tiny_model_dir, plain, utterances):
    found = stress(shrinkml.load(tiny_model_dir), OnnxRecogniser(plain), utterances)
    total_s = sum(one.duration_s for one in utterances)
    assert found.n_long == pytest.approx(total_s / LONG_S, abs=1)
    assert LONG_S <= found.longest_s <= LONG_S + max(one.duration_s for one in utterances)
    assert found.long_wer == found.long_wer_exported > 0
    assert found.silence_words == found.silence_words_exported


def test_what_is_left_over_and_too_short_is_left_out_unless_it_is_all(tiny_model_dir, plain, utterances):
    ends_s = list(accumulate(one.duration_s for one in utterances))
    n_first = bisect_left(ends_s, LONG_S) + 1
    for n, expected_s in ((2, ends_s[1]), (n_first + 2, ends_s[n_first - 1])):
        found = stress(shrinkml.load(tiny_model_dir), OnnxRecogniser(plain), utterances[:n])
        assert (found.n_long, found.longest_s) == (1, pytest.approx(expected_s, abs=0.01))


def test_an_export_that_fails_on_them_shows(tiny_model_dir, deaf, utterances):
    found = stress(shrinkml.load(tiny_model_dir), OnnxRecogniser(deaf), utterances)
    assert found.long_wer < found.long_wer_exported == 1.0
    assert found.silence_words_exported == 0


def test_the_component_that_int8_harms_is_found(tiny_model_dir, utterances):
    """An output layer that adds the same large number to the scores of all tokens: in float, nobody hears of it."""
    model = shrinkml.load(tiny_model_dir)
    whole = word_error_rate(model, load_dataset(model, utterances))
    with torch.no_grad():
        model.readout.weight[0] = 0.0
        model.readout.bias[0] = 9.0
        model.output.weight[:, 0] = 1e4
    drawn = draw(model)
    found = wer_by_component(drawn, frozenset(), utterances)
    sound = pytest.approx(whole, abs=0.02)
    assert found == {"float": sound, "encoder": sound, "decoder": sound, "output": found["output"]}
    assert found["output"] > whole + 0.1
    assert wer_by_component(drawn, frozenset({"output.weight"}), utterances)["output"] == sound
