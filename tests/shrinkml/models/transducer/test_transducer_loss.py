import itertools
import math

import pytest
import torch

from shrinkml.models.transducer.transducer_loss import IMPOSSIBLE, Lattice, forward_scores, log_likelihood


def lattice(frames=(4, 2, 1), labels=(2, 3, 0), *, dtype=torch.float64):
    """Random log probabilities; the two ways from a node leave something to other labels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(frames), max(frames), max(labels) + 1, 3, generator=generator, dtype=dtype)
    logs = logits.log_softmax(-1)
    return Lattice(logs[..., 0], logs[:, :, :-1, 1], torch.tensor(frames), torch.tensor(labels))


def brute_force(of, i):
    """The sum over every order of T blanks and U labels that ends with a blank."""
    n_frames, n_labels = int(of.frame_counts[i]), int(of.label_counts[i])
    found = []
    for places in itertools.combinations(range(n_frames + n_labels - 1), n_labels):
        t = u = 0
        total = 0.0
        for step in range(n_frames + n_labels):
            if step in places:
                total, u = total + of.label[i, t, u].item(), u + 1
            else:
                total, t = total + of.blank[i, t, u].item(), t + 1
        found.append(total)
    return torch.tensor(found, dtype=torch.float64).logsumexp(0).item()


@pytest.mark.parametrize(
    ("frames", "labels"), [((4, 2, 1), (2, 3, 0)), ((1,), (0,)), ((5, 5), (4, 4)), ((3, 6), (0, 1))]
)
def test_the_likelihood_is_the_sum_over_all_alignments(frames, labels):
    of = lattice(frames, labels)
    expected = [brute_force(of, i) for i in range(len(frames))]
    assert log_likelihood(of).tolist() == pytest.approx(expected, rel=1e-12)


def test_its_gradient_is_that_of_finite_differences():
    of = lattice()
    blank, label = of.blank.clone().requires_grad_(), of.label.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda b, y: log_likelihood(of._replace(blank=b, label=y)), (blank, label))


def test_nothing_beyond_the_end_has_a_gradient():
    of = lattice((4, 2), (3, 1))
    blank, label = of.blank.clone().requires_grad_(), of.label.clone().requires_grad_()
    log_likelihood(of._replace(blank=blank, label=label)).sum().backward()
    assert blank.grad[1, 2:].abs().max() == blank.grad[1, :, 2:].abs().max() == 0
    assert label.grad[1, 2:].abs().max() == label.grad[1, :, 1:].abs().max() == 0
    assert blank.grad[1, 1, 1] == 1.0, "every alignment ends there"


def test_a_gradient_is_the_share_of_the_alignments_that_go_that_way():
    """So the blanks of every frame together are gone through once, and the labels of every row."""
    of = lattice((4,), (2,))
    blank, label = of.blank.clone().requires_grad_(), of.label.clone().requires_grad_()
    log_likelihood(of._replace(blank=blank, label=label)).sum().backward()
    torch.testing.assert_close(blank.grad.sum(2), torch.ones(1, 4, dtype=torch.float64))
    torch.testing.assert_close(label.grad.sum(1), torch.ones(1, 2, dtype=torch.float64))


def test_forward_scores_lead_to_the_likelihood():
    of = lattice()
    scores = forward_scores(of)
    assert scores.shape == of.blank.shape
    for i, (t, u) in enumerate(zip(of.frame_counts, of.label_counts, strict=True)):
        assert (scores + of.blank)[i, t - 1, u].item() == pytest.approx(log_likelihood(of)[i].item(), rel=1e-12)
    assert scores[0, 0, 0] == 0.0
    assert scores[0, 2, 1].item() == pytest.approx(
        math.log(sum(math.exp(way) for way in ways_to_frame_2_label_1(of))), rel=1e-12
    )


def ways_to_frame_2_label_1(of):
    blank, label = of.blank[0], of.label[0]
    for said_at in range(3):
        yield float(label[said_at, 0] + sum(blank[t, 0] for t in range(said_at)) + blank[said_at:2, 1].sum())


def test_a_lattice_of_certain_scores_has_a_finite_gradient():
    """In single precision too: a way that cannot be gone is a number, whose gradient is 0."""
    of = lattice((3,), (2,), dtype=torch.float32)
    blank = torch.full_like(of.blank, IMPOSSIBLE)
    blank[0, :, 2] = 0.0  # every label at once, then only blanks
    blank, label = blank.requires_grad_(), torch.zeros_like(of.label).requires_grad_()
    found = log_likelihood(of._replace(blank=blank, label=label))
    found.sum().backward()
    assert found.item() == 0.0
    assert blank.grad.isfinite().all()
    assert label.grad[0, 0].tolist() == [1.0, 1.0]
