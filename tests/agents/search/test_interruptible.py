import pytest

from agents.search.interruptible import Interruptible
from shrinkml.errors import StoppedError
from shrinkml.measure.evaluation import transcripts
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import load
from shrinkml.training.dataset import load_dataset


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load(tiny_model_dir)


@pytest.fixture(scope="module")
def utterances(tiny_data):
    return read_manifest(tiny_data["dev"])


def test_it_hears_what_the_model_hears(model, utterances):
    wrapped = Interruptible(model, lambda: False)
    assert isinstance(wrapped, AsrModel)
    dataset = load_dataset(wrapped, utterances)
    assert transcripts(wrapped, dataset) == transcripts(model, dataset)
    losses = [m.loss(m.teacher_forced(dataset.features, dataset.texts)).item() for m in (wrapped, model)]
    assert losses[0] == losses[1]


def test_a_stop_ends_an_evaluation_within_one_batch(model, utterances):
    dataset = load_dataset(model, utterances)
    asked = []

    def after_two():
        asked.append(None)
        return len(asked) > 2

    with pytest.raises(StoppedError, match="stopped on request"):
        transcripts(Interruptible(model, after_two), dataset, batch_size=1)
    assert len(asked) == 3


def test_a_stop_ends_the_extraction_of_features(model, utterances):
    with pytest.raises(StoppedError, match="stopped on request"):
        load_dataset(Interruptible(model, lambda: True), utterances)
