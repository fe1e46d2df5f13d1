import copy

import pytest
import torch

import shrinkml
from shrinkml.models.huggingface.vocabulary import expected_tokens as module
from shrinkml.models.huggingface.vocabulary.expected_tokens import expected_tokens
from tests.stock_models import two_languages_

TEXTS = ["turn on the light", "turn the radio off", "stop the music"]


@pytest.fixture(scope="module")
def whisper():
    return shrinkml.load("reference/whisper")


def test_they_are_the_mean_of_what_the_model_says_in_silence(whisper):
    text = TEXTS[0]
    silence = whisper.features(torch.zeros(int(module.SILENCE_S * whisper.sample_rate_hz)).numpy())
    with torch.inference_mode():
        head = whisper.teacher_forced([silence], [text])["attention"]
    said = head.logits[0, len(whisper.prompt) - 1 :].softmax(-1)
    torch.testing.assert_close(expected_tokens(whisper, [text]), said.double().mean(0), rtol=1e-3, atol=1e-6)


def test_texts_of_any_length_count_by_their_places(whisper):
    lengths = [len(whisper.text.encode(text)) + 1 for text in TEXTS]
    alone = torch.stack([expected_tokens(whisper, [text]) for text in TEXTS])
    mean = (alone * torch.tensor(lengths, dtype=torch.float64)[:, None]).sum(0) / sum(lengths)
    torch.testing.assert_close(expected_tokens(whisper, [*TEXTS, TEXTS[0]]), mean, rtol=1e-3, atol=1e-6)


def test_words_that_it_was_trained_on_are_expected_before_the_hundreds_of_others(whisper):
    first = expected_tokens(whisper, TEXTS).argsort(descending=True)[:40].tolist()
    assert {" the", " on", " off", " radio", " music"} <= {whisper.text.pieces(whisper.n_outputs)[i] for i in first}


def test_texts_that_cannot_be_fed_are_left_out(whisper):
    assert float(expected_tokens(whisper, ["", "turn " * 1000]).sum()) == 0
    assert torch.equal(expected_tokens(whisper, [TEXTS[0], "turn " * 1000]), expected_tokens(whisper, TEXTS[:1]))


def test_of_many_texts_some_are_fed_evenly(whisper, monkeypatch):
    monkeypatch.setattr(module, "MOST_TEXTS", 2)
    assert torch.equal(expected_tokens(whisper, TEXTS), expected_tokens(whisper, [TEXTS[0], TEXTS[2]]))


def test_a_model_that_looks_for_the_language_is_told_one(whisper):
    several = copy.deepcopy(whisper)
    two_languages_(several.network.generation_config, several.text.tokenizer)
    several = type(several)(several.network, several.speech, several.text)
    assert max(map(len, several.prompt)) == 2
    assert float(expected_tokens(several, TEXTS).sum()) == pytest.approx(1.0)


def test_the_model_is_left_as_it_was(whisper):
    whisper.train()
    try:
        expected_tokens(whisper, TEXTS)
        assert whisper.training
    finally:
        whisper.eval()
