import pytest
import torch
from torch import nn

from shrinkml.compression.unit_flow.unit_probe import NOBODY, columns_fed, find_directions, wired


class Joined(nn.Module):
    """Two steps of an LSTM's outputs side by side, behind features, and the sum of both directions of a GRU."""

    def __init__(self):
        super().__init__()
        self.lstm, self.gru = nn.LSTM(3, 4, batch_first=True), nn.GRU(3, 5, bidirectional=True, batch_first=True)
        self.side, self.sum = nn.Linear(2 + 8, 3), nn.Linear(5, 2)

    def forward(self, x):
        pairs = self.lstm(x)[0].reshape(len(x), -1, 8)
        beside = torch.cat((torch.ones(*pairs.shape[:2], 2), pairs), -1)
        there, back = self.gru(x)[0].chunk(2, -1)
        return self.side(beside), self.sum(there + back)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Joined().eval()


def test_each_direction_counts_its_units_on(model):
    found = find_directions(model)
    assert [(it.first.layer, it.units, it.offset, it.number) for it in found] == [
        ("lstm.weight_ih_l0", 4, 0, 0),
        ("gru.weight_ih_l0", 5, 0, 4),
        ("gru.weight_ih_l0_reverse", 5, 5, 9),
    ]


def test_columns_tell_the_unit_that_feeds_them_and_mixtures_and_features_nobody(model):
    directions, x = find_directions(model), torch.randn(2, 6, 3)
    fed = columns_fed(model, directions, lambda: model(x))
    assert {name: numbers.tolist() for name, numbers in fed.items()} == {
        "side.weight": [NOBODY, NOBODY, 0, 1, 2, 3, 0, 1, 2, 3]
    }
    feeds = wired(directions[:1], fed).feeds["side.weight"]
    assert [(feed.layer, feed.first, feed.units, feed.gates) for feed in feeds] == [
        ("lstm.weight_ih_l0", 2, 4, 4),
        ("lstm.weight_ih_l0", 6, 4, 4),
    ]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
