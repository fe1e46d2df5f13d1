import numpy as np
import pytest
import soundfile
import torch

import shrinkml
from shrinkml.errors import AudioError
from shrinkml.speech.manifest import read_manifest
from shrinkml.speech.utterance import Utterance
from shrinkml.training.dataset import Dataset, load_dataset

FRAMES = (30, 50, 40, 50)


@pytest.fixture
def dataset():
    features = [torch.full((n, 2), float(i)) for i, n in enumerate(FRAMES)]
    return Dataset(features, ["a", "b", "c", "d"], [0.3, 0.5, 0.4, 0.5], ["x", None, "y", "x"])


def test_batches_hold_utterances_of_similar_length_the_longest_first(dataset):
    assert list(dataset.batches(2)) == [[1, 3], [2, 0]]
    assert sorted(i for batch in dataset.batches(3) for i in batch) == [0, 1, 2, 3]


def test_a_subset_keeps_the_order_that_was_asked_for(dataset):
    part = dataset.subset([2, 0])
    assert (part.texts, part.durations_s, part.speakers) == (["c", "a"], [0.4, 0.3], ["y", "x"])
    assert [int(one[0, 0]) for one in part.features] == [2, 0]
    assert len(part) == 2


def test_its_audio_is_that_of_all_utterances(dataset):
    assert dataset.audio_s == pytest.approx(1.7)


def test_a_manifest_is_loaded_as_the_model_hears_it(tiny_model_dir, tiny_data):
    model, utterances = shrinkml.load(tiny_model_dir), read_manifest(tiny_data["dev"])[:3]
    loaded = load_dataset(model, utterances)
    assert loaded.texts == [one.text for one in utterances]
    assert loaded.speakers == [one.speaker for one in utterances]
    assert all(one.shape[1] == model.config.n_mels for one in loaded.features)
    assert not any(one.requires_grad for one in loaded.features)


def test_audio_that_the_model_cannot_hear_is_named(stock_dir, tmp_path):
    soundfile.write(tmp_path / "long.wav", np.zeros(40_000, np.float32), 16_000)
    utterance = Utterance(tmp_path / "long.wav", 2.5, "turn on", None, "en")
    with pytest.raises(AudioError, match=r"long\.wav: 2\.5 s of audio; this model hears at most 2 s at once"):
        load_dataset(shrinkml.load(stock_dir("whisper")), [utterance])
