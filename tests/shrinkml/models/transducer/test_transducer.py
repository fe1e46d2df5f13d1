from dataclasses import replace

import numpy as np
import pytest
import torch

from shrinkml.errors import ConfigError
from shrinkml.models.heads import IGNORE
from shrinkml.models.protocol import AsrModel
from shrinkml.models.tokenizer import BLANK, Tokenizer
from shrinkml.models.transducer.transducer import LOOK_AHEAD, STREAMING, Transducer, TransducerConfig
from tests.shrinkml.models.transducer.whistled import TEXTS, whistle, whistler

TOKENIZER = Tokenizer.from_texts(["red green blue lamp on off"], "word")
TINY = TransducerConfig(n_mels=8, stack=2, hidden=12, reductions=(1, 2), look_ahead=6, decoder=10, embedding=6, joint=8)
SAID = ["red lamp on", "off", "", "blue lamp off on red"]


def tiny(**shape):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Transducer(replace(TINY, **shape), TOKENIZER).eval()


@pytest.fixture(params=["lstm", "tied"])
def model(request):
    return tiny(prediction=request.param)


@pytest.fixture
def speech():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(frames, 8, generator=generator) for frames in (37, 60, 8, 51)]


def test_it_is_an_asr_model(model):
    assert isinstance(model, AsrModel)


def test_features_are_about_zero_with_a_deviation_of_about_one_for_speech_of_any_level():
    """And digital silence is no further away than speech at its loudest."""
    speech = tiny().features(whistle("red green"))
    assert speech.shape[1] == 8
    assert -2 < speech.mean() < 2
    assert tiny().features(np.zeros(16_000, np.float32)).unique().tolist() == pytest.approx([-1.83], abs=0.01)


def test_features_of_a_piece_do_not_depend_on_the_rest():
    waveform = whistle("red green off")
    before, after = tiny().features(waveform[:8000]), tiny().features(waveform)
    assert torch.equal(before[:48], after[:48])


def test_the_scores_of_an_utterance_do_not_depend_on_its_batch(model, speech):
    together = model.teacher_forced(speech, SAID)
    assert list(together) == [LOOK_AHEAD, STREAMING]
    for row, (features, text) in enumerate(zip(speech, SAID, strict=True)):
        alone = model.teacher_forced([features], [text])
        for head in together:
            torch.testing.assert_close(together[head].rows()[row], alone[head].rows()[0], rtol=1e-4, atol=1e-5)


def test_targets_are_the_labels(model, speech):
    targets = model.teacher_forced(speech, SAID)[STREAMING].targets
    assert targets[0, :3].tolist() == TOKENIZER.encode("red lamp on")
    assert (targets[2] == IGNORE).all()


def test_both_passes_are_learnt_as_the_config_mixes_them(speech):
    for share in (0.0, 0.25, 1.0):
        model = tiny(streaming_weight=share)
        heads = model.teacher_forced(speech, SAID)
        expected = (1 - share) * heads[LOOK_AHEAD].loss() + share * heads[STREAMING].loss()
        torch.testing.assert_close(model.loss(heads), expected)


def test_without_a_second_pass_there_is_one_head_and_its_loss(speech):
    model = tiny(look_ahead=0)
    heads = model.teacher_forced(speech, SAID)
    assert list(heads) == [STREAMING]
    assert model.loss(heads) == heads[STREAMING].loss()


def test_only_the_pass_that_looks_ahead_hears_what_comes_later(model, speech):
    other = [speech[1].clone()]
    other[0][-4:] += 1.0
    before, after = model.passes(speech[1:2]), model.passes(other)
    assert torch.equal(before[STREAMING].states[0, 0], after[STREAMING].states[0, 0])
    assert not torch.equal(before[LOOK_AHEAD].states[0, 0], after[LOOK_AHEAD].states[0, 0])


@pytest.mark.parametrize("prediction", ["lstm", "tied"])
def test_both_passes_learn_a_whistled_language(prediction):
    model = whistler(**({} if prediction == "lstm" else {"prediction": "tied"}))
    features = [model.features(whistle(text, seed=99)) for text in TEXTS]
    with torch.inference_mode():
        streamed = model.read(model.passes(features)[STREAMING])
    whole = model.transcribe(features)
    assert sum(a == b for a, b in zip(streamed, TEXTS, strict=True)) >= 5
    assert sum(a == b for a, b in zip(whole, TEXTS, strict=True)) >= 6
    assert whole == [model.transcribe([one])[0] for one in features]


def test_the_first_pass_is_a_recogniser_of_its_own_with_the_same_weights(model, speech):
    alone = model.first_pass()
    with torch.inference_mode():
        assert alone.transcribe(speech) == model.read(model.passes(speech)[STREAMING])
    assert list(alone.teacher_forced(speech, SAID)) == [STREAMING]
    assert alone.output.weight is model.output.weight
    kept = {name for name, _ in alone.named_parameters()}
    assert {name for name, _ in model.named_parameters()} - kept == {
        f"look_ahead.{name}" for name, _ in model.look_ahead.named_parameters()
    }
    assert model.look_ahead is not None
    assert (alone.config.look_ahead, model.config.look_ahead) == (0, TINY.look_ahead)


def test_a_beam_is_refused(model, speech):
    with pytest.raises(ConfigError, match="beam 4; a transducer is read greedily, allowed: 1"):
        model.transcribe(speech, beam=4)


def test_the_blank_is_never_written():
    assert TOKENIZER.decode([BLANK, 5, BLANK]) == TOKENIZER.vocabulary[5]


def test_a_shape_survives_json():
    assert TransducerConfig.from_json(TINY.to_json()) == TINY


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 0}, "hidden is 0; allowed: 1 or more"),
        ({"look_ahead": -1}, "look_ahead is -1; allowed: 0 or more"),
        ({"reductions": [3]}, r"reductions is \[3\]; allowed: a 1 or 2 for each causal layer"),
        ({"prediction": "gru"}, "prediction is 'gru'; allowed: lstm, tied"),
        ({"taught": "half"}, "taught is 'half'; allowed: collapsed, whole"),
        ({"units": 5}, "no transducer has this shape"),
    ],
)
def test_an_impossible_shape_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        TransducerConfig.from_json(change)
