import torch

from shrinkml.models.transformer.memory_block import MemoryBlock


def test_each_unit_is_filtered_alone_and_added():
    """The oracle is the sum over the taps, written out."""
    torch.manual_seed(0)
    block, values = MemoryBlock(4, 3), torch.randn(1, 6, 4)
    taps = block.filter.weight[:, 0]  # [units, taps]
    padded = torch.cat((torch.zeros(1, 1, 4), values, torch.zeros(1, 1, 4)), 1)
    expected = values + sum(padded[:, i : i + 6] * taps[:, i] for i in range(3))
    torch.testing.assert_close(block(values, torch.ones(1, 6, dtype=torch.bool)), expected)


def test_what_lies_behind_the_end_is_not_heard():
    block, values = MemoryBlock(4, 5), torch.randn(2, 6, 4)
    inside = torch.arange(6) < torch.tensor([6, 3])[:, None]
    alone = block(values[1:, :3], inside[1:, :3])
    torch.testing.assert_close(block(values, inside)[1:, :3], alone)


def test_it_has_a_tap_per_unit_and_step():
    assert [parameter.numel() for parameter in MemoryBlock(4, 7).parameters()] == [28]
