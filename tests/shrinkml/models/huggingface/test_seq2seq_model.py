from types import SimpleNamespace

import numpy as np
import pytest
import torch

import shrinkml
from shrinkml.errors import CheckpointError, ConfigError
from shrinkml.models.heads import ATTENTION
from shrinkml.models.huggingface.seq2seq_model import LEAST_TOKENS, TOKENS_PER_S, _token
from shrinkml.models.protocol import WindowedModel

TEXTS = ["turn on the light", "off", "the dog"]


@pytest.fixture(params=["whisper", "speech_to_text", "moonshine"])
def model(request, stock_dir):
    return shrinkml.load(stock_dir(request.param))


@pytest.fixture
def features(model, waveforms):
    return [model.features(waveform) for waveform in waveforms]


def test_its_decoder_is_taught_the_rest_of_the_prompt_the_text_and_the_end(model, features):
    heads = model.teacher_forced(features, TEXTS)
    assert list(heads) == [ATTENTION]
    prompt = [token for (token,) in model.prompt[1:]]
    assert heads[ATTENTION].tokens() == [[*prompt, *model.text.encode(text), model.end] for text in TEXTS]


def test_a_transcript_is_no_longer_than_its_utterance_allows(model, features, monkeypatch):
    monkeypatch.setattr(model.text, "decode", lambda ids: f"{len(ids)}")
    for n_tokens, one in zip(model.transcribe(features), features, strict=True):
        most = LEAST_TOKENS + int(TOKENS_PER_S * model.speech.seconds(one))
        assert int(n_tokens) <= min(most, model.room)


def test_a_transcript_beyond_its_room_is_a_misfit(model):
    assert model.misfit("o" * 10) is None
    assert f"this model writes at most {model.room}: cut it where nobody speaks" in model.misfit(
        "o " * (2 * model.room)
    )


def test_a_beam_of_one_is_greedy(model, features):
    assert model.transcribe(features, beam=1) == model.transcribe(features)
    assert len(model.transcribe(features, beam=2)) == len(features)


def test_a_model_that_looks_for_the_language_cannot_be_taught(stock_dir):
    model = shrinkml.load(stock_dir("whisper-multilingual"))
    model.prompt = ((1,), (2, 3))
    with pytest.raises(ConfigError, match=r"name one in the job \(language: en\)"):
        model.misfit("turn on")


def test_the_first_special_token_that_is_told_counts():
    network = SimpleNamespace(
        config=SimpleNamespace(eos_token_id=None), generation_config=SimpleNamespace(eos_token_id=[7, 8])
    )
    assert _token(network, "pad_token_id", "eos_token_id") == 7
    with pytest.raises(CheckpointError, match=r"neither config\.json nor generation_config\.json tells bos_token_id"):
        _token(network, "bos_token_id")


def test_while_it_learns_gradients_reach_encoder_and_decoder(model, features):
    model.train()
    torch.manual_seed(0)
    model.loss(model.teacher_forced(features, TEXTS)).backward()
    for part in (model.network.get_encoder(), model.network.get_decoder()):
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in part.parameters())


def test_a_short_window_ends_behind_each_utterance_whoever_shares_its_batch(stock_dir):
    whisper = shrinkml.load(stock_dir("whisper"))
    whisper.window_tail_s = 0.25
    noise = np.random.default_rng(0)
    lengths = [3_200, 16_000, 3_100, 24_000]  # windows of 0.5, 1.5, 0.5 and 2 s
    features = [whisper.features(noise.normal(0, 0.1, n).astype(np.float32)) for n in lengths]
    heard: list[int] = []
    whisper.network.get_encoder().conv1.register_forward_pre_hook(
        lambda module, inputs: heard.append(inputs[0].shape[-1])
    )
    together = whisper.transcribe(features)
    assert heard == [50, 150, 200]
    assert together == [whisper.transcribe([one])[0] for one in features]
    rows = whisper.teacher_forced(features, ["off", "on", "the dog", "no"])[ATTENTION].rows()
    alone = [
        whisper.teacher_forced([one], [text])[ATTENTION].rows()[0]
        for one, text in zip(features, ["off", "on", "the dog", "no"], strict=True)
    ]
    for one, other in zip(rows, alone, strict=True):
        torch.testing.assert_close(one, other)


def test_a_tail_as_long_as_the_window_is_all_of_it(stock_dir, waveforms):
    whisper = shrinkml.load(stock_dir("whisper"))
    features = [whisper.features(waveform) for waveform in waveforms]
    whole = whisper.transcribe(features)
    whisper.window_tail_s = whisper.longest_s
    assert whisper.transcribe(features) == whole


def test_only_a_whisper_hears_windows(model):
    assert model.windowed == (model.network.config.model_type == "whisper")
    assert isinstance(model, WindowedModel)
