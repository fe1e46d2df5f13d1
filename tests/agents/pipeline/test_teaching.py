"""The tiny recogniser, and where it lies beside the checkout, OpenAI's Whisper tiny.en with real read speech."""

import pytest
import torch

import shrinkml
from agents.pipeline.folder.lasting_cache import LastingCache
from agents.pipeline.teaching import (
    Teaching,
    choose_teaching,
    lessons,
    mean_loss,
    original_transcripts,
)
from shrinkml.measure.evaluation import transcripts
from shrinkml.speech.corpora.librispeech import prepare
from shrinkml.speech.manifest import read_manifest
from shrinkml.training.dataset import Dataset, load_dataset
from tests.real_model import REAL_SPEECH, WHISPER, needs_real_speech, needs_whisper


@pytest.fixture(scope="module")
def tiny(tiny_model_dir, tiny_data):
    model, utterances = shrinkml.load(tiny_model_dir), read_manifest(tiny_data["dev"])
    return model, utterances, load_dataset(model, utterances)


def test_references_in_the_models_own_form_are_kept(tiny):
    model, _, speech = tiny
    own = transcripts(model, speech)
    assert choose_teaching(model, speech, own, asked="auto").source == "references"


def test_capitals_that_the_vocabulary_lacks_are_no_other_form(tiny):
    model, _, speech = tiny
    loud = speech.with_texts([text.upper() for text in speech.texts])
    assert choose_teaching(model, loud, transcripts(model, speech), asked="auto").source == "references"


def test_a_job_may_ask_for_either(tiny):
    model, _, speech = tiny
    own = transcripts(model, speech)
    assert choose_teaching(model, speech, own, asked="own").source == "own"
    assert choose_teaching(model, speech, own, asked="references") == Teaching("references")


def test_the_loss_is_the_models_own(tiny):
    model, _, speech = tiny
    with torch.inference_mode():
        loss = float(model.loss(model.teacher_forced(speech.features, speech.texts)))
    assert mean_loss(model, speech) == pytest.approx(loss)


def test_transcripts_are_written_once_and_remembered(tiny, tmp_path):
    model, utterances, speech = tiny
    cache, heard = LastingCache(tmp_path / "facts.sqlite"), []

    class Counting:
        module = model.module

        def transcribe(self, features):
            heard.append(len(features))
            return model.transcribe(features)

    first = original_transcripts(Counting(), "digest", utterances[:5], speech.subset(range(5)), cache)
    told = []
    both = original_transcripts(Counting(), "digest", utterances, speech, cache, on_heard=told.append)
    assert heard == [5, len(utterances) - 5]
    assert told == [5, len(utterances)]
    assert both == transcripts(model, speech)
    assert both[:5] == first
    original_transcripts(Counting(), "another", utterances[:5], speech.subset(range(5)), cache)
    assert heard[2:] == [5]


def test_utterances_whose_transcript_is_far_from_the_reference_are_no_lessons():
    speech = Dataset([torch.zeros(1, 1)] * 4, ["one two three", "four five", "six", "seven"], [1.0] * 4, [None] * 4)
    own = ["One, two three.", "four four four four", "", "Seven!"]
    taught = lessons(speech, own, Teaching("own", " "))
    assert taught.texts == [" One, two three.", " Seven!"]
    assert lessons(speech, own, Teaching("references")) is speech


@pytest.mark.slow
@needs_whisper
@needs_real_speech
def test_a_pretrained_whisper_is_taught_by_its_own_words(tmp_path):
    model = shrinkml.load(WHISPER)
    utterances = read_manifest(prepare(tmp_path / "speech", REAL_SPEECH)["dev"])[:6]
    speech = load_dataset(model, utterances)
    own = transcripts(model, speech)
    teaching = choose_teaching(model, speech, own, asked="auto")
    assert (teaching.source, teaching.lead) == ("own", " ")
    assert teaching.reference_loss > 2 * teaching.own_loss
