import math

import pytest
import torch
import torch.nn.functional as F

from shrinkml.models.heads import ATTENTION, CTC, IGNORE, AttentionHead, CtcHead, transcript_head

TARGETS = torch.tensor([[3, 1, 2], [2, IGNORE, IGNORE]])


def logits(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def attention():
    return AttentionHead(logits(2, 3, 5), TARGETS)


@pytest.fixture
def ctc():
    return CtcHead(logits(2, 6, 5), torch.tensor([6, 4]), TARGETS, blank=0)


def test_transcripts_are_read_from_the_first_head(attention, ctc):
    assert transcript_head({ATTENTION: attention, CTC: ctc}) is attention
    assert transcript_head({CTC: ctc, ATTENTION: attention}) is ctc


def test_a_decoder_loses_the_mean_of_what_its_targets_lacked(attention):
    logs = attention.logits.log_softmax(-1)
    chosen = [logs[0, 0, 3], logs[0, 1, 1], logs[0, 2, 2], logs[1, 0, 2]]
    assert attention.loss().item() == pytest.approx(-sum(chosen).item() / 4, rel=1e-6)


def test_label_smoothing_asks_for_every_token_alike(attention):
    logs = torch.cat(attention.rows()).log_softmax(-1)
    smoothed = AttentionHead(attention.logits, TARGETS, label_smoothing=1.0)
    assert smoothed.loss().item() == pytest.approx(-logs.mean().item(), rel=1e-6)


def test_a_ctc_head_of_one_frame_per_token_loses_what_its_only_path_lacked():
    scores = logits(1, 2, 4)
    head = CtcHead(scores, torch.tensor([2]), torch.tensor([[3, 1]]), blank=0)
    logs = scores.log_softmax(-1)
    assert head.loss().item() == pytest.approx(-(logs[0, 0, 3] + logs[0, 1, 1]).item() / 2, rel=1e-5)


def test_more_tokens_than_frames_can_say_count_as_nothing():
    head = CtcHead(logits(1, 1, 4), torch.tensor([1]), torch.tensor([[3, 1]]), blank=0)
    assert head.loss().item() == 0.0


def test_the_loss_of_a_ctc_head_does_not_see_what_lies_beyond_the_end(ctc):
    other = CtcHead(ctc.logits.clone(), ctc.frame_counts, TARGETS, blank=0)
    other.logits[1, 4:] = 100 * torch.rand(2, 5)
    assert other.loss() == ctc.loss()


@pytest.mark.parametrize(("name", "lengths"), [("attention", [3, 1]), ("ctc", [6, 4])])
def test_the_rows_are_the_steps_that_count(name, lengths, request):
    head = request.getfixturevalue(name)
    for row, scores, n in zip(head.rows(), head.logits, lengths, strict=True):
        assert torch.equal(row, scores[:n])


@pytest.mark.parametrize("name", ["attention", "ctc"])
def test_the_tokens_are_the_targets_without_padding(name, request):
    head = request.getfixturevalue(name)
    assert head.tokens() == [[3, 1, 2], [2]]
    assert head.n_tokens == 4


@pytest.mark.parametrize(("name", "steps"), [("attention", 4), ("ctc", 10)])
def test_distillation_is_the_mean_divergence_of_the_steps_that_count(name, steps, request):
    teacher = request.getfixturevalue(name)
    student = type(teacher)(*(getattr(teacher, field) for field in teacher.__slots__))
    object.__setattr__(student, "logits", teacher.logits + logits(*teacher.logits.shape))
    before, after = (torch.cat(head.rows()).log_softmax(-1) for head in (teacher, student))
    expected = F.kl_div(after, before, reduction="sum", log_target=True) / steps
    assert student.distillation_loss(teacher.teacher_targets()).item() == pytest.approx(expected.item(), rel=1e-6)
    assert teacher.distillation_loss(teacher.teacher_targets()).item() == pytest.approx(0.0, abs=1e-6)
    assert math.isfinite(student.loss())
