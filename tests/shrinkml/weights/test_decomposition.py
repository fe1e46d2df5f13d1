from dataclasses import replace

import pytest
import torch

from shrinkml.errors import RankError
from shrinkml.weights.decomposition import Decomposition


@pytest.fixture
def whole():
    torch.manual_seed(0)
    return Decomposition(
        torch.randn(6, 4),
        torch.randn(4, 5),
        torch.ones(4),
        torch.tensor([1.0, 2.0, 3.0, 4.0]),
        torch.zeros(5),
        torch.eye(5),
    )


def test_a_slice_takes_the_most_important_directions_row_by_row(whole):
    up, down = whole.at_rank(3)
    assert torch.equal(up, whole.up[:, :3])
    assert torch.equal(down, whole.down[:3])
    assert up.is_contiguous()


def test_a_slice_shares_no_memory(whole):
    before = whole.up.clone(), whole.down.clone()
    for part in whole.at_rank(4):
        part.zero_()
    assert torch.equal(whole.up, before[0])
    assert torch.equal(whole.down, before[1])


@pytest.mark.parametrize("rank", [0, 5])
def test_ranks_out_of_range_are_refused(whole, rank):
    with pytest.raises(RankError, match=rf"rank {rank} of a matrix decomposed to rank 4; allowed: 1 to 4"):
        whole.at_rank(rank)


def test_the_bias_gains_what_dropped_directions_gave_on_average(whole):
    torch.testing.assert_close(whole.shift(3), 4.0 * whole.up[:, 3])
    assert not whole.shift(4).any()


def test_the_inputs_of_a_rank_are_the_columns_that_its_directions_read(whole):
    down = torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 3.0]])
    assert [replace(whole, down=down).inputs_of(rank).tolist() for rank in (1, 2, 3)] == [[1], [0, 1], [0, 1, 2]]
