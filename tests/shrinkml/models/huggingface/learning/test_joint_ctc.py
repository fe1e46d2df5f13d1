import pytest
import torch

from shrinkml.models.heads import ATTENTION, CTC
from shrinkml.models.huggingface.decoding.short_window import SILENT, STEP, WHOLE_SHARE
from shrinkml.models.huggingface.learning.fresh import fresh
from shrinkml.models.huggingface.learning.joint_ctc import JointCtc

TEXTS = ["turn on the light", "turn the radio off"]
SHAPE = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "num_mel_bins": 16,
    "max_source_positions": 100,
    "max_target_positions": 40,
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return JointCtc(fresh("whisper", SHAPE, TEXTS, seed=0)).eval()


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, 16, generator=generator) for n in (200, 51)]


def test_its_frames_are_those_of_the_utterance_not_of_the_window(model, features):
    output = model.teacher_forced(features, TEXTS)
    assert output[CTC].logits.shape == (2, 100, len(model.learner.text.tokenizer))
    assert output[CTC].frame_counts.tolist() == [100, 26]


def test_while_it_learns_most_windows_end_soon_behind_the_longest_utterance(model, features):
    model.train()
    lengths = []
    for _ in range(200):
        output = model.teacher_forced([features[1], features[1][:40]], TEXTS)
        assert output[CTC].frame_counts.tolist() == [26, 20]
        lengths.append(output[CTC].logits.shape[1])
    whole = lengths.count(100) / len(lengths)
    short = min(lengths)
    assert set(lengths) == {short, 100}
    assert short % STEP == 0
    assert 26 + SILENT <= short < 26 + SILENT + STEP
    assert abs(whole - WHOLE_SHARE) < 0.1  # four standard deviations


def test_while_it_learns_an_utterance_that_fills_the_window_is_heard_to_its_end(model, features):
    known = model.teacher_forced(features, TEXTS)
    model.train()  # without dropout: the shape has none
    for _ in range(10):
        found = model.teacher_forced(features, TEXTS)
        torch.testing.assert_close(found[ATTENTION].logits, known[ATTENTION].logits)


def test_the_windows_of_a_resumed_training_are_those_of_an_uninterrupted_one(model, features):
    model.train()

    def drawn():
        torch.manual_seed(1)
        return [model.teacher_forced(features[1:], TEXTS[1:])[CTC].logits.shape[1] for _ in range(40)]

    first = drawn()
    assert len(set(first)) == 2
    assert drawn() == first


def test_the_encoder_learns_words_from_the_head_alone(model, features):
    torch.nn.init.zeros_(model.learner.network.model.decoder.layers[0].encoder_attn.out_proj.weight)
    output = model.teacher_forced(features, TEXTS)
    model.loss(output).backward()
    assert model.learner.network.model.encoder.conv1.weight.grad.abs().max() > 0


def test_a_head_that_hears_the_words_has_nothing_left_to_learn(model, features):
    output = model.teacher_forced(features, TEXTS)
    scores = torch.full_like(output[CTC].logits, -20.0)
    scores[..., model.learner.end] = 20.0  # silence
    for row, text in enumerate(TEXTS):
        for place, token in enumerate(model.learner.text.encode(text)):
            scores[row, 2 * place, model.learner.end], scores[row, 2 * place, token] = -20.0, 20.0
    output[CTC].logits.data = scores
    decoder_alone = model.learner.loss(output)
    assert model.loss(output).item() == pytest.approx(0.7 * decoder_alone.item(), rel=1e-4)


def test_the_head_is_no_part_of_what_is_kept(model):
    assert not any(name.startswith("ctc") for name, _ in model.learner.named_parameters())
