import itertools

import pytest
import torch
from torch import nn

from shrinkml.models.heads import IGNORE
from shrinkml.models.transducer.transducer_head import TAUGHT, TransducerHead

TARGETS = torch.tensor([[3, 1], [2, IGNORE]])


def head_of(seed=0, *, n_frames=(4, 2), targets=TARGETS, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        joint = nn.Sequential(nn.Tanh(), nn.Linear(6, 4)).double()
        encoded = 2 * torch.randn(len(targets), max(n_frames), 6, dtype=torch.float64)
        predicted = 2 * torch.randn(len(targets), targets.shape[1] + 1, 6, dtype=torch.float64)
    return TransducerHead(joint, encoded, predicted, targets, torch.tensor(n_frames), blank=0, **options)


def log_likelihoods(head):
    """Of each utterance by the rows: the sum along its transcript, its end included."""
    pairs = zip(head.rows(), head.tokens(), strict=True)
    return [sum(row[u, label].item() for u, label in enumerate(labels)) for row, labels in pairs]


def test_its_loss_is_the_negative_log_likelihood_per_label_and_end():
    head = head_of()
    assert head.n_tokens == 5
    assert head.loss().item() == pytest.approx(-sum(log_likelihoods(head)) / 5, rel=1e-12)


def test_its_tokens_are_the_labels_and_the_blank_that_ends_them():
    assert head_of().tokens() == [[3, 1, 0], [2, 0]]


def test_its_rows_are_posteriors_whatever_the_alignment():
    """The oracle: one frame that says nothing more, so that all there is to say is said in the only frame."""
    head = head_of(n_frames=(1,), targets=torch.tensor([[3, 1]]))
    (row,) = head.rows()
    logs = head.joint(head.encoded[0] + head.predicted[0]).log_softmax(-1)
    torch.testing.assert_close(row, logs)


def test_its_rows_sum_over_the_frames_in_which_a_label_may_be_said():
    head = head_of(n_frames=(3,), targets=torch.tensor([[3]]))
    (row,) = head.rows()
    logs = head.joint(head.encoded[0, :, None] + head.predicted[0, None]).log_softmax(-1)
    blanks = logs[:, 0, 0].cumsum(0)
    first = torch.stack([logs[0, 0, 1:], logs[1, 0, 1:] + blanks[0], logs[2, 0, 1:] + blanks[1]]).logsumexp(0)
    torch.testing.assert_close(row[0, 1:], first)
    torch.testing.assert_close(row[0, 0], blanks[2])
    torch.testing.assert_close(row.exp().sum(1), torch.ones(2, dtype=torch.float64))


def test_the_likelihoods_of_all_transcripts_of_up_to_a_length_sum_to_nearly_one():
    """To less, for the longer ones; and to nearly one, for all labels are unlikely."""
    head = head_of(n_frames=(2,), targets=torch.tensor([[1, 1, 1]]))

    def joint(x):
        return head.joint(x) + torch.tensor([4.0, 0, 0, 0], dtype=torch.float64)

    total = 0.0
    for labels in itertools.chain.from_iterable(itertools.product((1, 2, 3), repeat=n) for n in range(4)):
        targets = torch.tensor(labels, dtype=torch.long).view(1, -1)
        predicted = head.predicted[:, : len(labels) + 1]  # the same, whatever the labels
        of = TransducerHead(joint, head.encoded, predicted, targets, head.frame_counts, blank=0)
        total += torch.tensor(log_likelihoods(of)).exp().sum().item()
    assert 0.95 < total < 1.0


def test_neither_its_loss_nor_its_rows_see_what_lies_beyond_the_end():
    head, other = head_of(), head_of()
    other.encoded[1, 2:] = 100.0
    other.predicted[1, 2:] = 100.0
    assert other.loss() == head.loss()
    assert torch.equal(other.rows()[1], head.rows()[1])
    assert torch.equal(other.teacher_targets()[1].values, head.teacher_targets()[1].values)


def test_blocks_change_nothing():
    whole, parts = head_of(), head_of(most=13)
    torch.testing.assert_close(parts.loss(), whole.loss())
    for one, other in zip(parts.rows(), whole.rows(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_teacher_keeps_three_posteriors_of_every_node():
    head = head_of()
    values = head.teacher_targets()[0].values.view(4, 3, 3)
    logs = head.joint(head.encoded[0, :, None] + head.predicted[0, None]).log_softmax(-1).exp()
    torch.testing.assert_close(values.exp().sum(-1), torch.ones(4, 3, dtype=torch.float64))
    torch.testing.assert_close(values[:, 0].exp()[:, :2], logs[:, 0, [3, 0]], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(values[:, 2].exp()[:, 1], logs[:, 2, 0], atol=1e-5, rtol=1e-5)


def test_a_teacher_of_the_whole_lattice_keeps_all_posteriors_of_every_node():
    head = head_of(taught="whole")
    logs = head.joint(head.encoded[1, :2, None] + head.predicted[1, None, :2]).log_softmax(-1)
    torch.testing.assert_close(head.teacher_targets()[1].values, logs.flatten(0, 1))


@pytest.mark.parametrize("taught", list(TAUGHT))
def test_a_student_is_taught_by_the_divergence_of_all_nodes_per_label(taught):
    teacher, student = head_of(0, taught=taught), head_of(1, taught=taught)
    before = torch.cat([kept.values for kept in teacher.teacher_targets()])
    after = torch.cat([kept.values for kept in student.teacher_targets()])
    assert len(before) == 4 * 3 + 2 * 2
    expected = (before.exp() * (before - after)).sum().item() / 5
    assert student.distillation_loss(teacher.teacher_targets()).item() == pytest.approx(expected, rel=1e-9)
    assert teacher.distillation_loss(teacher.teacher_targets()).item() == pytest.approx(0.0, abs=1e-12)


def test_a_collapsed_lattice_diverges_no_more_than_the_whole():
    collapsed, whole = (
        head_of(1, taught=taught).distillation_loss(head_of(0, taught=taught).teacher_targets()) for taught in TAUGHT
    )
    assert 0 < collapsed < whole


@pytest.mark.parametrize("taught", list(TAUGHT))
def test_both_losses_have_gradients(taught):
    teacher, student = head_of(0, taught=taught), head_of(1, taught=taught)
    for loss in (student.loss(), student.distillation_loss(teacher.teacher_targets())):
        (gradient,) = torch.autograd.grad(loss, [student.joint[1].weight], retain_graph=True)
        assert gradient.abs().max() > 0
