from dataclasses import replace

import pytest
import torch
from torch import nn

from shrinkml.compression.factorizers import svd
from shrinkml.errors import RankError
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.weights.dense import Dense
from shrinkml.weights.identity_block import IdentityBlock
from shrinkml.weights.low_rank import LowRank

SHAPE = 40, 24


@pytest.fixture
def weight():
    torch.manual_seed(0)
    return torch.randn(SHAPE)


def at(rank, weight):
    choice = Choice(rank=rank, identity=True)
    return IdentityBlock.compressed(Dense(weight), choice, svd(Dense(weight)))


def test_it_holds_a_rank_with_an_identity_block_and_nothing_else():
    assert IdentityBlock.holds(Choice(rank=3, identity=True))
    assert not any(map(IdentityBlock.holds, (DENSE, Choice(rank=3), Choice(rank=3, bits=8, identity=True))))


@pytest.mark.parametrize("rank", [1, 7, 8, 20, 24])
def test_it_is_the_matrix_of_two_whole_factors_of_fewer_weights(weight, rank):
    found = at(rank, weight)
    both = LowRank.compressed(Dense(weight), Choice(rank=rank), svd(Dense(weight)))
    torch.testing.assert_close(found.dense(), both.dense(), atol=2e-5, rtol=1e-4)
    assert found.cost().parameters == rank * (40 + 24 - rank) <= weight.numel()


def test_some_rows_are_stored_as_they_are(weight):
    found = at(5, weight)
    rows = found.dense()
    stored = [bool((rows == row).all(1).any()) for row in found.down]
    assert all(stored)
    assert sum((int(byte) >> bit) & 1 for byte in found.pivots for bit in range(8)) == 5


def test_pivoting_keeps_the_other_rows_near_the_size_of_the_block(weight):
    assert at(20, weight).rest.abs().max() < 10.0


def test_directions_that_are_zero_do_no_harm(weight):
    whole = svd(Dense(weight))
    empty = replace(whole, up=whole.up * 0.0)
    found = IdentityBlock.compressed(Dense(weight), Choice(rank=3, identity=True), empty)
    assert not found.dense().any()


@pytest.mark.parametrize(("rank", "shape", "most"), [(5, (5, 9), 4), (0, (9, 5), 5), (6, (9, 5), 5)])
def test_a_rank_that_leaves_no_other_row_is_refused(rank, shape, most):
    choice = Choice(rank=rank, identity=True) if rank else DENSE
    with pytest.raises(RankError, match=rf"rank {rank} of a matrix .* with an identity block; allowed: 1 to {most}"):
        IdentityBlock.zeros(choice, shape)


def test_the_padding_row_gets_no_gradient(weight):
    found = at(3, weight)
    rest = found.rest.clone().requires_grad_()
    mine = IdentityBlock(rest, found.down, found.pivots)
    others = [row for row in range(40) if not (int(found.pivots[row // 8]) >> row % 8) & 1]
    mine.look_up(torch.tensor(others[:2]), others[0]).sum().backward()
    assert rest.grad.abs().sum(1).bool().tolist() == [False, True] + [False] * 35


class Product(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.form = form

    def forward(self, x):
        return self.form.multiply(x, torch.ones(40))


def test_it_multiplies_as_the_dense_matrix_does_exported_or_not(weight):
    found, x = at(20, weight), torch.randn(3, 24)
    expected = x @ found.dense().T + 1.0
    torch.testing.assert_close(found.multiply(x, torch.ones(40)), expected, atol=1e-4, rtol=1e-4)
    exported = torch.export.export(Product(found), (x,))
    torch.testing.assert_close(exported.module()(x), expected, atol=1e-4, rtol=1e-4)
    assert sum(node.target is torch.ops.aten.eye.default for node in exported.graph.nodes) == 0, "no block in the graph"
