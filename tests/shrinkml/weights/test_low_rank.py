import pytest
import torch

from shrinkml.errors import RankError
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.dense import Dense
from shrinkml.weights.low_rank import LowRank


def test_it_holds_a_rank_and_nothing_else():
    assert LowRank.holds(Choice(rank=3))
    assert not any(map(LowRank.holds, (DENSE, Choice(rank=3, bits=8), Choice(rank=3, sparsity=0.5), Choice(bits=8))))


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_a_rank_above_the_dense_ones_is_refused(shape):
    assert LowRank.zeros(Choice(rank=4), shape).choice == Choice(rank=4)
    with pytest.raises(RankError, match=rf"rank 5 of a matrix \[{shape[0]}, {shape[1]}\]; allowed: 1 to 4"):
        LowRank.zeros(Choice(rank=5), shape)


def test_a_choice_without_a_rank_is_refused():
    with pytest.raises(RankError, match=r"has no rank; allowed: an integer of 1 or more"):
        LowRank.zeros(DENSE, (4, 6))


def test_it_is_the_decomposition_sliced():
    torch.manual_seed(0)
    whole = Decomposition(
        torch.randn(6, 4), torch.randn(4, 5), torch.ones(4), torch.zeros(4), torch.zeros(5), torch.eye(5)
    )
    found = LowRank.compressed(Dense(whole.up @ whole.down), Choice(rank=2), whole)
    assert torch.equal(found.up, whole.up[:, :2])
    assert torch.equal(found.down, whole.down[:2])


def test_the_padding_row_gets_no_gradient():
    up, down = torch.ones(4, 2, requires_grad=True), torch.ones(2, 3)
    LowRank(up, down).look_up(torch.tensor([1, 2]), 1).sum().backward()
    assert up.grad.sum(1).tolist() == pytest.approx([0.0, 0.0, 6.0, 0.0])
