import pytest
import torch
from torch import nn

from shrinkml.models.transducer.joint import in_blocks, score_lattice

LABELS = torch.tensor([[3, 1], [2, 0]])
COUNTS = torch.tensor([7, 5]), torch.tensor([2, 1])


@pytest.fixture
def joint():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Tanh(), nn.Linear(6, 4))


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, n, 6, generator=generator).requires_grad_() for n in (7, 3)]


def test_every_node_has_the_log_probabilities_of_its_blank_and_its_next_label(joint, inputs):
    encoded, predicted = inputs
    lattice = score_lattice(joint, encoded, predicted, LABELS, *COUNTS, blank=0)
    logs = joint(encoded[:, :, None] + predicted[:, None]).log_softmax(-1)
    torch.testing.assert_close(lattice.blank, logs[..., 0])
    torch.testing.assert_close(lattice.label[0, :, 0], logs[0, :, 0, 3])
    torch.testing.assert_close(lattice.label[1, :, 0], logs[1, :, 0, 2])
    assert lattice[2:] == COUNTS


@pytest.mark.parametrize("most", [24, 60, 100])
def test_blocks_change_neither_scores_nor_gradients(joint, inputs, most):
    found = []
    for limit in (2**20, most):
        lattice = score_lattice(joint, *inputs, LABELS, *COUNTS, blank=0, most=limit)
        total = lattice.blank.sum() - 2 * lattice.label.square().sum()
        found.append((lattice.blank, lattice.label, *torch.autograd.grad(total, (*inputs, *joint.parameters()))))
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole)


def test_no_block_has_more_scores_than_allowed(joint, inputs):
    sizes = []

    def watched(x):
        scores = joint(x)
        sizes.append(scores.numel())
        return scores

    with torch.no_grad():
        list(in_blocks(lambda e, p: watched(e[:, :, None] + p[:, None]), watched, *inputs, most=60))
    assert max(sizes) == 48  # 2 frames x 2 utterances x 3 rows x 4 labels
    assert sum(sizes[1:]) == 7 * 24  # the first asks for the vocabulary alone


def test_a_block_is_one_frame_at_least(joint, inputs):
    with torch.no_grad():
        blocks = list(in_blocks(lambda e, p: e, joint, *inputs, most=1))
    assert [block.shape[1] for block in blocks] == [1] * 7
