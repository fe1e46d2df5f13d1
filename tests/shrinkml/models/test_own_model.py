import numpy as np
import pytest
import torch
from torch import nn

from shrinkml.errors import ConfigError
from shrinkml.models.heads import transcript_head
from shrinkml.models.own_model import OwnModel

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
    assert transcript_head(output).rows() == []
    assert transcript_head(output).tokens() == []
    assert transcript_head(output).n_tokens == 0
    assert own.loss(output).item() == pytest.approx(own.module(SPEECH[0]).square().mean().item() + 2)
    own.loss(output).backward()
    assert own.module.weight.grad is not None


def test_it_tells_its_scores_if_it_can(own):
    logits, counts = torch.randn(2, 3, 4), torch.tensor([3, 1])
    telling = OwnModel(own.module, lambda *_: torch.zeros(()), own.transcribe, lambda *_: (logits, counts))
    head = transcript_head(telling.with_module(nn.Linear(2, 2)).teacher_forced(SPEECH, ["a", "b"]))
    assert [row.shape for row in head.rows()] == [(3, 4), (1, 4)]
    assert torch.equal(head.rows()[0], logits[0])
    assert head.n_tokens == 4


def test_it_teaches_by_its_scores(own):
    logits, counts = torch.randn(2, 3, 4), torch.tensor([3, 1])
    telling = OwnModel(own.module, lambda *_: torch.zeros(()), own.transcribe, lambda *_: (logits, counts))
    head = transcript_head(telling.teacher_forced(SPEECH, ["a", "b"]))
    targets = head.teacher_targets()
    torch.testing.assert_close(targets[1].values, logits[1, :1].log_softmax(-1))
    assert head.distillation_loss(targets).item() == pytest.approx(0, abs=1e-6)


def test_without_scores_there_is_nothing_to_teach(own):
    head = transcript_head(own.teacher_forced(SPEECH, ["a", "b"]))
    with pytest.raises(ConfigError, match="without `scores` can neither teach nor learn posteriors: give them"):
        head.teacher_targets()
    with pytest.raises(ConfigError, match="without `scores`"):
        head.distillation_loss([])


def test_it_transcribes_without_gradients(own):
    assert own.transcribe(SPEECH) == ["2 False", "2 False"]


def test_what_it_cannot_know_is_refused(own):
    with pytest.raises(ConfigError, match="is given features, not waveforms: extract them beforehand"):
        own.features(np.zeros(10, np.float32))
    with pytest.raises(ConfigError, match="is given features, not waveforms"):
        own.sample_rate_hz  # noqa: B018 - looked up on purpose
    with pytest.raises(ConfigError, match="beam 4; how to decode is for `transcribe` to say, allowed: 1"):
        own.transcribe(SPEECH, beam=4)
