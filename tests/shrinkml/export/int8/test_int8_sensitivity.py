"""Layers that int8 would harm: how they are found, and one in a traced network that was made so."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from shrinkml.export.drawn import draw
from shrinkml.export.graph import Storage
from shrinkml.export.int8.int8_sensitivity import divergence, guilty, sensitive_layers
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.huggingface.learning.fresh import fresh
from shrinkml.speech.audio import read_audio
from shrinkml.speech.manifest import read_manifest
from tests.conftest import TEXTS

SIZES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "num_mel_bins": 16}
SHAPE = {**SIZES, "num_hidden_layers": 1, "subsampling_conv_channels": 8}


def test_a_layer_that_int8_would_harm_is_found_and_kept(tiny_data, tmp_path):
    """An output layer that adds the same large number to the scores of all tokens: in float, nobody hears of it."""
    model = fresh("parakeet_ctc", SHAPE, TEXTS[:2], 0)
    with torch.no_grad():
        model.network.ctc_head.weight[:, 3] = 100.0
    speech, drawn = read_manifest(tiny_data["dev"])[:4], draw(model)
    kept = sensitive_layers(model, drawn, speech)
    assert kept == {"network.ctc_head.weight"}
    more = [
        *4 * speech,
        replace(speech[0], audio=tmp_path / "none.wav"),
    ]  # the last, which nobody can read, is not heard
    assert sensitive_layers(model, drawn, more) == kept
    waveforms = [read_audio(utterance.audio, 16_000) for utterance in speech]

    def scores(storage):
        drawn.write_graphs(tmp_path, storage)
        drawn.recipe.write(tmp_path, {})
        return OnnxRecogniser(tmp_path).scores(waveforms, [])

    reference = scores(Storage())
    whole, spared = (divergence(reference, scores(Storage(int8=True, kept=some))) for some in (frozenset(), kept))
    assert spared < 0.01 * whole


@pytest.mark.parametrize(
    ("harms", "found", "most_steps"),
    [
        ({}, [], 1),
        ({5: 2.0}, [5], 15),
        ({5: 2.0, 6: 0.9, 60: 1.1}, [5, 60], 29),
        (dict.fromkeys(range(128), 2.0), [*range(128)], 255),
    ],
)
def test_few_guilty_layers_are_found_in_few_steps(harms, found, most_steps):
    steps = []

    def harm(layers):
        steps.append(layers)
        return sum(harms.get(layer, 0.0) for layer in layers)

    assert guilty(range(128), harm, 1.0) == found
    assert len(steps) <= most_steps  # of 128


def test_divergence_is_that_of_the_posteriors():
    reference = np.zeros((3, 2))
    moved = reference.copy()
    moved[0, 0] = np.log(3)  # 1/2, 1/2 becomes 3/4, 1/4
    moved[1] = 7.0  # the same posteriors
    expected = 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)
    assert divergence(reference, moved) == pytest.approx(expected)
