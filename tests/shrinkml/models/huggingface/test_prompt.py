"""A decoder is taught behind the very tokens that generation will give it."""

import pytest
import torch

import shrinkml
from shrinkml.errors import ConfigError
from tests.stock_models import with_generation


@pytest.fixture
def multilingual(stock_dir, tmp_path):
    """Settings of its generation -> a Whisper of two languages, whose tokenizer says nothing of them."""
    return lambda **told: shrinkml.load(with_generation(stock_dir("whisper-multilingual"), tmp_path / "told", **told))


def names(model, ids):
    return [name.strip("<|>") for name in model.text.tokenizer.convert_ids_to_tokens(ids)]


def fed(model, run):
    """The tokens that the decoder is given while `run` runs."""
    given = []
    hook = model.network.get_decoder().register_forward_pre_hook(
        lambda _, args, kwargs: given.append(kwargs["input_ids"][0]), with_kwargs=True
    )
    run()
    hook.remove()
    return torch.cat(given).tolist()


def taught_and_fed(model, waveform):
    features = [model.features(waveform)]
    taught = fed(model, lambda: model.teacher_forced(features, ["turn on"]))
    words = model.text.encode("turn on")
    assert taught[-len(words) :] == words
    given = taught[: -len(words)]
    return given, fed(model, lambda: model.transcribe(features))[: len(given)]


@pytest.mark.parametrize(
    ("told", "prompt"),
    [
        ({"language": "en", "task": "transcribe"}, ["startoftranscript", "en", "transcribe", "notimestamps"]),
        ({"language": "de"}, ["startoftranscript", "translate", "transcribe", "notimestamps"]),
        ({"forced_decoder_ids": [[1, 258], [2, 259]]}, ["startoftranscript", "en", "transcribe", "notimestamps"]),
    ],
)
def test_a_whisper_is_taught_behind_its_language_and_task(multilingual, told, prompt, waveforms):
    model = multilingual(**told)
    taught, given = taught_and_fed(model, waveforms[0])
    assert names(model, taught) == names(model, given) == prompt


@pytest.mark.parametrize(
    ("kind", "told", "n"),
    [("speech_to_text", {}, 1), ("speech_to_text", {"forced_bos_token_id": 7}, 2), ("moonshine", {}, 1)],
)
def test_others_are_taught_behind_their_start(kind, told, n, stock_dir, waveforms, tmp_path):
    model = shrinkml.load(with_generation(stock_dir(kind), tmp_path / "told", **told))
    taught, given = taught_and_fed(model, waveforms[0])
    assert taught == given
    assert len(taught) == n


def test_a_language_that_is_left_open_is_looked_for_and_cannot_be_taught(multilingual, waveforms):
    model = multilingual()
    features = [model.features(waveforms[0])]
    start, languages, end = (names(model, choices) for choices in model.prompt)
    assert (start, languages, end) == (["startoftranscript"], ["translate", "en"], ["notimestamps"])
    assert len(model.transcribe(features)) == 1
    with pytest.raises(ConfigError, match="generation of this model looks for the language of each utterance"):
        model.teacher_forced(features, ["turn on"])
