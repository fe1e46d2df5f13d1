import math
import threading

import pytest

from agents.search import interruptible
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


@pytest.mark.parametrize("work", ["transcribe", "teacher_forced"])
def test_a_stop_ends_an_evaluation_between_two_layers(model, utterances, monkeypatch, work):
    monkeypatch.setattr(interruptible, "ASKED_EVERY_S", 0.0)
    dataset, asked = load_dataset(model, utterances[:2]), []

    def at_the_third():
        asked.append(None)
        return len(asked) == 3

    wrapped = Interruptible(model, at_the_third)
    arguments = (dataset.features, dataset.texts) if work == "teacher_forced" else (dataset.features,)
    with pytest.raises(StoppedError, match="stopped on request"):
        getattr(wrapped, work)(*arguments)
    assert len(asked) == 3
    getattr(model, work)(*arguments)
    assert len(asked) == 3, "the hook is gone"


def test_another_thread_is_not_asked_for(model, utterances, monkeypatch):
    monkeypatch.setattr(interruptible, "ASKED_EVERY_S", 0.0)
    dataset, others = load_dataset(model, utterances[:1]), []

    def run_another():
        if threading.current_thread() is threading.main_thread() and not others:
            others.append(threading.Thread(target=lambda: others.append(model.transcribe(dataset.features))))
            others[0].start()
            others[0].join()
        return threading.current_thread() is not threading.main_thread()

    Interruptible(model, run_another).transcribe(dataset.features)
    assert others[1] == model.transcribe(dataset.features)


def test_a_stop_ends_the_extraction_of_features(model, utterances):
    with pytest.raises(StoppedError, match="stopped on request"):
        load_dataset(Interruptible(model, lambda: True), utterances)


def test_a_large_model_transcribes_few_utterances_at_a_time_and_hears_the_same(model, utterances, monkeypatch):
    dataset, n_asked = load_dataset(model, utterances), []
    wrapped = Interruptible(model, lambda: bool(n_asked.append(None)))
    transcripts(wrapped, dataset)
    assert len(n_asked) == 1, "the tiny one is quick"
    weights = sum(parameter.numel() for parameter in model.module.parameters())
    longest_s = max(map(len, dataset.features)) / interruptible.FRAMES_PER_S
    work = 2 * weights * interruptible.POSITIONS_PER_S * longest_s
    monkeypatch.setattr(interruptible, "MOST_WORK", 5.5 * work)
    assert transcripts(wrapped, dataset) == transcripts(model, dataset)
    assert len(n_asked) == 1 + math.ceil(len(utterances) / 5)
    monkeypatch.setattr(interruptible, "MOST_WORK", 0.1 * work)
    transcripts(wrapped, dataset.subset(range(4)))
    assert len(n_asked) == 1 + math.ceil(len(utterances) / 5) + 4, "one at least"


def test_a_window_counts_whole(stock_dir, waveforms, monkeypatch):
    whisper = load(stock_dir("whisper"))
    weights = sum(parameter.numel() for parameter in whisper.module.parameters())
    monkeypatch.setattr(
        interruptible, "MOST_WORK", 2.5 * 2 * weights * interruptible.POSITIONS_PER_S * whisper.longest_s
    )
    asked = []
    features = [whisper.features(waveform) for waveform in waveforms]
    heard = Interruptible(whisper, lambda: bool(asked.append(None))).transcribe(features)
    assert heard == whisper.transcribe(features)
    assert len(asked) == 2


def test_a_waveform_is_as_long_as_its_samples_say(stock_dir, waveforms, monkeypatch):
    wav2vec2 = load(stock_dir("wav2vec2"))
    weights = sum(parameter.numel() for parameter in wav2vec2.module.parameters())
    monkeypatch.setattr(interruptible, "MOST_WORK", 2.5 * 2 * weights * interruptible.POSITIONS_PER_S)  # of a second
    asked = []
    Interruptible(wav2vec2, lambda: bool(asked.append(None))).transcribe([wav2vec2.features(it) for it in waveforms])
    assert len(asked) == 2
