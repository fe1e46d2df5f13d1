import pytest
import torch
from torch import nn

from shrinkml.compression.calibration import calibrate
from shrinkml.compression.sites import NO_PAIRS
from shrinkml.compression.unit_flow.recurrent_decomposition import (
    feeds_tensor,
    numbered,
    rows_of_units,
    unit_orders,
)
from shrinkml.compression.unit_flow.recurrent_units import find_recurrent_units
from shrinkml.plan.layer_spec import Feed


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.output = nn.LSTM(3, 6, batch_first=True), nn.Linear(6, 4)

    def forward(self, x):
        return self.output(self.lstm(x)[0])


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Tagger().eval()


def test_a_unit_that_nobody_hears_goes_first_and_then_one_that_another_repeats(model):
    gates = torch.arange(4) * 6
    with torch.no_grad():
        model.output.weight[:, 2] = 0.0
        model.lstm.weight_hh_l0[:, 2] = 0.0
        model.lstm.weight_hh_l0[:, 4] = 0.0
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):  # unit 4 does what unit 1 does
            part = getattr(model.lstm, name)
            part[gates + 4] = part[gates + 1]
    x = torch.randn(8, 20, 3)
    pairs, stats = find_recurrent_units(model, lambda: model(x)), calibrate(model, lambda: model(x))
    (order,) = unit_orders(model, pairs, stats).values()
    assert order.units[-1] == 2
    assert order.units[-2] in (1, 4)
    assert order.added[-1] < 1e-3 * order.added[0]
    assert order.rows.tolist()[:4] == (order.units[0] + gates).tolist()


def test_without_recurrent_pairs_there_is_no_order(model):
    assert unit_orders(model, NO_PAIRS, {}) == {}


def test_rows_of_a_unit_stand_together():
    assert rows_of_units(torch.tensor([2, 0]), 3, 2).tolist() == [2, 5, 0, 3]


def test_feeds_name_layers_by_their_number(model):
    numbers = numbered(model)
    assert numbers == {"lstm.weight_ih_l0": 0, "lstm.weight_hh_l0": 1, "output.weight": 2}
    assert feeds_tensor([Feed("lstm.weight_hh_l0", 5, 6, 4)], numbers).tolist() == [[1, 5, 6, 4]]
    assert feeds_tensor([], numbers).shape == (0, 4)
