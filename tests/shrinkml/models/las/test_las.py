import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from shrinkml.errors import ConfigError
from shrinkml.models.heads import ATTENTION, CTC, IGNORE
from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.protocol import AsrModel
from shrinkml.models.tokenizer import END, Tokenizer

TOKENIZER = Tokenizer.from_texts(["red green blue lamp on off"], "word")
TINY = LasConfig(n_mels=8, stack=2, hidden=12, decoder=10, embedding=6)


@pytest.fixture
def model() -> Las:
    torch.manual_seed(0)
    return Las(TINY, TOKENIZER).eval()


@pytest.fixture
def speech() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(frames, 8, generator=generator) for frames in (37, 60, 8, 51)]


TEXTS = ["red lamp on", "off", "green blue", "blue lamp off on red"]


def test_it_is_an_asr_model(model):
    assert isinstance(model, AsrModel)


def test_features_are_normalised_per_bin(model):
    waveform = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    features = model.features(waveform)
    assert features.shape[1] == 8
    assert features.mean(0).abs().max() < 1e-4
    assert (features.std(0) - 1).abs().max() < 0.05


def test_a_click_of_audio_still_has_features(model):
    assert model.transcribe([model.features(np.zeros(500, np.float32))]) is not None


def test_the_scores_of_an_utterance_do_not_depend_on_its_batch(model, speech):
    together = model.teacher_forced(speech, TEXTS)
    for row, (features, text) in enumerate(zip(speech, TEXTS, strict=True)):
        alone = model.teacher_forced([features], [text])
        for head in (ATTENTION, CTC):
            (scores,) = alone[head].rows()
            assert len(scores) == alone[head].logits.shape[1]
            torch.testing.assert_close(together[head].rows()[row], scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("beam", [1, 3])
def test_a_transcript_does_not_depend_on_its_batch(model, speech, beam):
    together = model.transcribe(speech, beam=beam)
    assert together == [model.transcribe([features], beam=beam)[0] for features in speech]


def test_targets_are_the_tokens_and_the_end(model, speech):
    targets = model.teacher_forced(speech, TEXTS)[ATTENTION].targets
    assert targets[1, 0] == TOKENIZER.encode("off")[0]
    assert targets[1, 1] == END
    assert (targets[1, 2:] == IGNORE).all()


def test_greedy_follows_the_most_likely_token(model, speech):
    """The oracle: teacher forcing the greedy transcript makes every token the argmax."""
    text = model.transcribe([speech[0]])[0]
    output = model.teacher_forced([speech[0]], [text])[ATTENTION]
    steps = len(TOKENIZER.encode(text))
    assert output.logits[0, :steps].argmax(-1).tolist() == TOKENIZER.encode(text)


def test_a_beam_of_one_hypothesis_more_never_finds_a_less_likely_transcript(model, speech):
    def log_probability(text: str) -> float:
        output = model.teacher_forced([speech[1]], [text])[ATTENTION]
        logs = output.logits[0].log_softmax(-1)
        kept = output.targets[0] != IGNORE
        chosen = logs[kept].gather(1, output.targets[0][kept, None])
        return (chosen.sum() / len(chosen) ** 0.6).item()

    greedy, wide = model.transcribe([speech[1]])[0], model.transcribe([speech[1]], beam=8)[0]
    assert log_probability(wide) >= log_probability(greedy) - 1e-5


def test_the_pyramid_halves_the_steps(model, speech):
    n_frames = len(speech[1])
    steps = math.ceil(math.ceil(n_frames / TINY.stack) / 2)
    assert model.teacher_forced([speech[1]], ["off"])[CTC].logits.shape[1] == steps


def test_the_loss_falls_when_the_model_learns(model, speech):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        loss = model.loss(model.teacher_forced(speech, TEXTS))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert model.transcribe(speech) == TEXTS


def test_without_ctc_weight_the_loss_is_the_decoders(model, speech):
    output = model.teacher_forced(speech, TEXTS)
    only_attention = Las(replace(TINY, ctc_weight=0.0), TOKENIZER).loss(output)
    assert only_attention == output[ATTENTION].loss()
    assert only_attention < model.loss(output)  # an untrained CTC head costs more per token than the decoder


def test_a_shape_survives_json():
    assert LasConfig.from_json(TINY.to_json()) == TINY


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 0}, "hidden is 0; allowed: 1 or more"),
        ({"reductions": [3]}, r"reductions is \[3\]"),
        ({"units": 5}, "no LAS has this shape"),
    ],
)
def test_an_impossible_shape_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        LasConfig.from_json(change)
