import numpy as np
import pytest
import torch
from torch import nn

from shrinkml.errors import ConfigError
from shrinkml.models.own_model import OwnModel
from shrinkml.models.protocol import TeacherForced

SPEECH = [torch.ones(3, 2), torch.ones(3, 2)]


@pytest.fixture
def own():
    """A linear layer that says how many utterances it heard."""
    return OwnModel(
        nn.Linear(2, 1),
        lambda module, features, texts: module(torch.stack(list(features))).square().mean() + len(texts),
        lambda module, features: [f"{len(features)} {torch.is_grad_enabled()}" for _ in features],
    )


def test_its_loss_is_the_one_that_was_given_and_can_be_learnt_from(own):
    output = own.teacher_forced(SPEECH, ["a", "b"])
    assert isinstance(output, TeacherForced)
    assert output.logits.shape == (2, 0, 1)
    assert own.loss(output).item() == pytest.approx(own.module(SPEECH[0]).square().mean().item() + 2)
    own.loss(output).backward()
    assert own.module.weight.grad is not None


def test_it_tells_its_scores_if_it_can(own):
    logits, counts = torch.randn(2, 3, 4), torch.tensor([3, 1])
    telling = OwnModel(own.module, lambda *_: torch.zeros(()), own.transcribe, lambda *_: (logits, counts))
    output = telling.with_module(nn.Linear(2, 2)).teacher_forced(SPEECH, ["a", "b"])
    assert output.ctc_logits is logits
    assert output.frame_counts is counts


def test_it_transcribes_without_gradients(own):
    assert own.transcribe(SPEECH) == ["2 False", "2 False"]


def test_what_it_cannot_know_is_refused(own):
    with pytest.raises(ConfigError, match="is given features, not waveforms: extract them beforehand"):
        own.features(np.zeros(10, np.float32))
    with pytest.raises(ConfigError, match="is given features, not waveforms"):
        own.sample_rate_hz  # noqa: B018 - looked up on purpose
    with pytest.raises(ConfigError, match="beam 4; how to decode is for `transcribe` to say, allowed: 1"):
        own.transcribe(SPEECH, beam=4)
