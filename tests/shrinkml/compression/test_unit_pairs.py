import pytest
import torch
from torch import nn
from torch.nn import functional as F

import shrinkml
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.unit_pairs import find_unit_pairs
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan

PAIR = {"first.weight": "second.weight"}


class Block(nn.Module):
    """Two linear layers; `between` makes of the first one's output what the second takes, and of both what it gives."""

    def __init__(self, between):
        super().__init__()
        self.first, self.second, self.norm = nn.Linear(6, 8), nn.Linear(8, 6), nn.LayerNorm(8)
        self.prelu, self.kernel = nn.PReLU(8), nn.Conv1d(8, 8, 3, padding=1)
        self.between = between

    def forward(self, x):
        return self.between(self, x, self.first(x))


def pairs_of(between, *, n_calls=1):
    block = Block(between).eval()
    return find_unit_pairs(block, lambda: [block(torch.randn(2, 5, 6)) for _ in range(n_calls)])


@pytest.mark.parametrize(
    "activation",
    [
        F.relu,
        F.gelu,
        F.silu,
        torch.tanh,
        F.hardswish,
        lambda y: y,
        lambda y: y * torch.sigmoid(1.7 * y),
        lambda y: F.dropout(F.relu(y), 0.1, training=False),
        lambda y: F.relu_(y).clamp(max=20.0),
        lambda y: F.gelu(y.reshape(10, 8)).view(2, 5, 8),
    ],
)
def test_what_works_on_each_number_alone_leaves_a_pair(activation):
    assert pairs_of(lambda block, x, y: x + block.second(activation(y)), n_calls=2) == PAIR


@pytest.mark.parametrize(
    "between",
    [
        lambda block, x, y: block.second(block.norm(y)),
        lambda block, x, y: block.second(y.softmax(-1)),
        lambda block, x, y: block.second(block.prelu(y.mT).mT),
        lambda block, x, y: block.second(block.kernel(y.mT).mT),
        lambda block, x, y: block.second(y + torch.arange(8)),
        lambda block, x, y: block.second(F.relu(y).flip(-1)),
        lambda block, x, y: block.second(F.glu(torch.cat([y, y], -1))),
        lambda block, x, y: block.second(F.relu(y.view(2, 10, 4)).view(2, 5, 8)),
    ],
)
def test_what_mixes_units_or_has_numbers_of_its_own_for_them_leaves_none(between):
    assert pairs_of(between) == {}


def test_units_that_go_elsewhere_too_are_not_cut():
    assert pairs_of(lambda block, x, y: block.second(F.relu(y)) + y.mean()) == {}
    assert pairs_of(lambda block, x, y: block.second(F.relu(y)) + F.relu(y).sum(-1, keepdim=True)) == {}


def test_a_layer_that_takes_other_inputs_too_is_no_follower():
    assert pairs_of(lambda block, x, y: block.second(F.relu(y)) + block.second(torch.ones(2, 5, 8))) == {}


def test_a_layer_whose_units_go_to_two_others_is_in_no_pair():
    class Two(Block):
        def __init__(self):
            super().__init__(lambda block, x, y: block.second(F.relu(y)) + block.third(F.relu(y)))
            self.third = nn.Linear(8, 6)

    block = Two()
    assert find_unit_pairs(block, lambda: block(torch.randn(2, 5, 6))) == {}


def test_tied_matrices_are_in_no_pair():
    block = Block(lambda block, x, y: block.second(F.relu(y)) + block.third(x))
    block.third = nn.Linear(6, 8)
    block.third.weight, block.between = block.first.weight, lambda block, x, y: block.second(F.relu(y))
    assert find_unit_pairs(block, lambda: block(torch.randn(2, 5, 6))) == {}


def test_factorized_layers_are_in_no_pair():
    block = Block(lambda block, x, y: block.second(F.relu(y)))
    low_rank = factorize(block, CompressionPlan({"second.weight": Choice(rank=2)}), decompose(block))
    assert find_unit_pairs(low_rank, lambda: low_rank(torch.randn(2, 5, 6))) == {}


def test_hooks_are_gone_afterwards_even_if_the_run_fails():
    block = Block(lambda block, x, y: block.second(F.relu(y)))
    with pytest.raises(ZeroDivisionError):
        find_unit_pairs(block, lambda: 1 / 0)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in block.modules())


@pytest.mark.parametrize(
    ("name", "n", "first", "second"),
    [
        ("reference/whisper", 5, ".fc1.weight", ".fc2.weight"),
        ("reference/ctc", 8, ".linear1.weight", ".linear2.weight"),
        ("reference/las", 1, "readout.weight", "output.weight"),
    ],
)
def test_those_of_recognisers_are_found(name, n, first, second):
    model = shrinkml.load(name)
    features = [model.features(torch.randn(16_000).numpy())]
    pairs = find_unit_pairs(model.module, lambda: model.teacher_forced(features, ["lights on"]))
    assert len(pairs) == n
    assert all(one.endswith(first) and other.endswith(second) for one, other in pairs.items())
