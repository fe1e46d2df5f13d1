import json

import jiwer
import pytest

import shrinkml
from shrinkml.measure.evaluation import Evaluation, count_parameters, evaluate, transcripts, word_error_rate
from shrinkml.speech.manifest import read_manifest
from shrinkml.training.dataset import load_dataset


@pytest.fixture
def model(tiny_model_dir):
    return shrinkml.load(tiny_model_dir)


@pytest.fixture
def dev(model, tiny_data):
    return load_dataset(model, read_manifest(tiny_data["dev"]))


def test_transcripts_stand_in_the_order_of_the_utterances(model, dev):
    alone = [model.transcribe([features])[0] for features in dev.features]
    assert transcripts(model, dev, batch_size=5) == alone


def test_the_error_rate_is_jiwers_over_the_whole_corpus(model, dev):
    heard = transcripts(model, dev)
    assert word_error_rate(model, dev) == pytest.approx(jiwer.wer(dev.texts, heard))


def test_an_evaluation_counts_what_it_measured(model, dev):
    result = evaluate(model, dev, stored_bytes=1234, macs_per_s=5.0)
    assert result.wer_ci95[0] <= result.wer <= result.wer_ci95[1]
    assert result.n_words == sum(len(text.split()) for text in dev.texts)
    assert result.wer == pytest.approx((result.substitutions + result.deletions + result.insertions) / result.n_words)
    assert (result.parameters, result.bytes, result.macs_per_s) == (count_parameters(model), 1234, 5.0)
    assert "/" in result.normaliser
    assert "jiwer" in result.scorer


def test_the_batch_size_does_not_change_the_result(model, dev):
    assert evaluate(model, dev, stored_bytes=1, batch_size=1) == evaluate(model, dev, stored_bytes=1, batch_size=24)


def test_an_evaluation_survives_json(model, dev):
    result = evaluate(model, dev, stored_bytes=1)
    assert Evaluation.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_a_subset_keeps_the_lists_parallel(dev):
    chosen = dev.subset([5, 0])
    assert chosen.texts == [dev.texts[5], dev.texts[0]]
    assert chosen.durations_s == [dev.durations_s[5], dev.durations_s[0]]
    assert [len(f) for f in chosen.features] == [len(dev.features[5]), len(dev.features[0])]
    assert chosen.audio_s == pytest.approx(dev.durations_s[5] + dev.durations_s[0])


def test_batches_hold_every_utterance_once_by_falling_length(dev):
    order = [i for batch in dev.batches(7) for i in batch]
    lengths = [len(dev.features[i]) for i in order]
    assert sorted(order) == list(range(len(dev)))
    assert lengths == sorted(lengths, reverse=True)
