import numpy as np
import pytest
import torch

import shrinkml
from shrinkml.errors import AudioError, ExportError
from shrinkml.export.exporter import export
from shrinkml.export.parity import fed
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.heads import transcript_head

TEXTS = ["open door", "stop"]


@pytest.fixture(scope="module", params=["las", "wav2vec2"])
def pair(request, tiny_model_dir, stock_dir, tmp_path_factory):
    """A recogniser with a decoder, and one without, each with its export."""
    checkpoint = tiny_model_dir if request.param == "las" else stock_dir(request.param)
    folder = tmp_path_factory.mktemp("export") / "onnx"
    export(checkpoint, folder)
    return shrinkml.load(checkpoint), OnnxRecogniser(folder)


@pytest.fixture
def spoken(waveforms):
    return waveforms[:2]  # of unequal length


@torch.no_grad()
def test_the_rows_of_scores_are_those_of_the_head(pair, spoken):
    model, exported = pair
    head = transcript_head(model.teacher_forced([model.features(waveform) for waveform in spoken], TEXTS))
    for found, expected in zip(exported.rows(spoken, fed(head)), head.rows(), strict=True):
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)


def test_all_scores_are_the_rows_one_after_another(pair, spoken):
    _, exported = pair
    tokens = [[3], [4, 3]]
    rows = exported.rows(spoken, tokens)
    assert np.array_equal(exported.scores(spoken, tokens), np.concatenate(rows))


def test_transcripts_are_the_recognisers(pair, spoken):
    model, exported = pair
    assert exported.transcribe(spoken) == model.transcribe([model.features(waveform) for waveform in spoken])


def test_a_click_is_too_short(pair):
    _, exported = pair
    least = exported.recipe.shortest_samples
    with pytest.raises(AudioError, match=f"a waveform of {least - 1} samples; allowed: {least} or more"):
        exported.transcribe([np.zeros(least - 1, np.float32)])


def test_a_folder_without_a_recipe_is_no_export(tmp_path):
    with pytest.raises(ExportError, match="is no exported recogniser"):
        OnnxRecogniser(tmp_path)
