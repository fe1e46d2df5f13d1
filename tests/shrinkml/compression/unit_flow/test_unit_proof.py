import copy

import pytest
import torch
from torch import nn

from shrinkml.compression.unit_flow.unit_probe import columns_fed, find_directions
from shrinkml.compression.unit_flow.unit_proof import holds


class Measured(nn.Module):
    """A linear layer over an LSTM's outputs, scaled by their mean where the model is so made: no shape tells that."""

    def __init__(self, scaled):
        super().__init__()
        self.lstm, self.output, self.scaled = nn.LSTM(3, 8, batch_first=True), nn.Linear(8, 2), scaled

    def forward(self, x):
        states = self.lstm(x)[0]
        found = self.output(states)
        return found * states.mean() if self.scaled else found


@pytest.mark.parametrize("scaled", [False, True])
def test_what_else_is_done_with_the_outputs_is_noticed_and_the_model_is_left_as_it_was(scaled):
    torch.manual_seed(0)
    model, x = Measured(scaled).eval(), torch.randn(2, 5, 3)
    before, lstm, directions = copy.deepcopy(model.state_dict()), model.lstm, find_directions(model)
    with torch.no_grad():
        fed = columns_fed(model, directions, lambda: model(x))
        assert holds(model, directions, fed, lambda: {"scores": [model(x)]}) == (not scaled)
    assert model.lstm is lstm
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


def test_a_run_that_fails_leaves_the_model_as_it_was():
    model, x, n_runs = Measured(scaled=False).eval(), torch.randn(2, 5, 3), 0
    lstm, directions = model.lstm, find_directions(model)

    def run():
        nonlocal n_runs
        n_runs += 1
        if n_runs == 2:
            raise KeyError("stopped")
        return model(x)

    with torch.no_grad():
        fed = columns_fed(model, directions, lambda: model(x))
        with pytest.raises(KeyError, match="stopped"):
            holds(model, directions, fed, run)
    assert model.lstm is lstm
