import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from shrinkml.compression.factorize import factorize
from shrinkml.compression.sites import current_plan, model_cost, present_cost
from shrinkml.compression.surgery import merge, reshape
from shrinkml.compression.unit_flow.recurrent_units import find_recurrent_units
from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from tests.cut_units import ReadyToCut

COUNTS = torch.tensor([7, 4])


class Listener(nn.Module):
    """All ways that units go: packed, joined, through a stack, attended to, into a cell and beside an embedding."""

    def __init__(self, cell=nn.LSTMCell):
        super().__init__()
        self.first = nn.LSTM(5, 6, batch_first=True, bidirectional=True)
        self.second = nn.GRU(24, 7, num_layers=2, batch_first=True, bidirectional=True)
        self.key = nn.Linear(14, 4)
        self.cell = cell(3 + 14, 8)
        self.query = nn.Linear(8, 4, bias=False)
        self.output = nn.Linear(8 + 14, 9)

    def forward(self, x):
        packed = pack_padded_sequence(x, COUNTS, batch_first=True, enforce_sorted=False)
        steps, _ = pad_packed_sequence(self.first(packed)[0], batch_first=True)
        steps = nn.functional.pad(steps, (0, 0, 0, 1)).reshape(2, 4, -1)
        states = self.second(steps)[0]
        keys, said = self.key(states), []
        context, state = states.new_zeros(2, states.shape[-1]), states.new_zeros(2, 8)
        state = (state, state) if isinstance(self.cell, nn.LSTMCell) or "LSTM" in type(self.cell).__name__ else state
        for token in torch.ones(3, 2, 3):
            state = self.cell(torch.cat((token, context), -1), state)
            hidden = state[0] if isinstance(state, tuple) else state
            weights = (keys @ self.query(hidden)[..., None]).softmax(1)
            context = (weights.mT @ states)[:, 0]
            said.append(self.output(torch.cat((hidden, context), -1)))
        return torch.stack(said, 1)


class Residual(nn.Module):
    """Of whose three layers the outputs of one are added to something, and those of another normalised."""

    def __init__(self):
        super().__init__()
        self.added, self.normed = nn.LSTM(5, 5, batch_first=True), nn.LSTM(5, 6, batch_first=True)
        self.norm, self.plain, self.output = nn.LayerNorm(6), nn.GRU(6, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x):
        x = x + self.added(x)[0]
        return self.output(self.plain(self.norm(self.normed(x)[0]))[0])


@pytest.fixture(params=[nn.LSTMCell, nn.GRUCell])
def model(request):
    torch.manual_seed(0)
    return Listener(request.param).eval()


@pytest.fixture
def speech():
    return torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(1))


def test_all_layers_are_found_whose_outputs_matrices_multiply(model, speech):
    before = copy.deepcopy(model.state_dict())
    found = find_recurrent_units(model, lambda: model(speech))
    ends = [f"first.weight_%s_l0{end}" for end in ("", "_reverse")]
    ends += [f"second.weight_%s_l{layer}{end}" for layer in (0, 1) for end in ("", "_reverse")] + ["cell.weight_%s"]
    assert found == {end % "ih": end % "hh" for end in ends}
    assert not found.why_not
    columns = {(feed.layer, feed.first) for feed in found.feeds["second.weight_ih_l0"]}
    forth, back = ends[0] % "ih", ends[1] % "ih"
    assert columns == {(forth, 0), (back, 6), (forth, 12), (back, 18)}  # two steps were joined
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in before.items())


def test_layers_whose_outputs_go_elsewhere_are_left_with_a_reason():
    torch.manual_seed(2)
    model, x = Residual().eval(), torch.randn(1, 6, 5)
    found = find_recurrent_units(model, lambda: model(x))
    assert found == {"plain.weight_ih_l0": "plain.weight_hh_l0"}
    assert {*found.why_not} == {"added.weight_ih_l0", "normed.weight_ih_l0"}


def test_cut_layers_cost_what_the_plan_says(model, speech):
    ready = ReadyToCut(model, lambda: model(speech))
    left = {"first.weight_ih_l0": 4, "second.weight_ih_l1_reverse": 5, "cell.weight_ih": 6}
    plan = ready.plan(left, {"key.weight": Choice(rank=2), "output.weight": Choice(bits=8)})
    small = factorize(model, plan, ready.decompositions)
    assert current_plan(small) == plan
    assert model_cost(model, pairs=ready.pairs).cost(plan) == model_cost(small).cost(plan) == present_cost(small)
    assert small.first.weight_hh_l0.shape == (16, 4)
    assert small.second.weight_ih_l0.shape == (21, 24 - 2 * 2)
    assert small.key.weight_down.shape == (2, 14 - 2)
    assert small.output.weight_rounded.shape == (9, (8 - 2) + (14 - 2))
    assert reshape(model, plan).state_dict().keys() == small.state_dict().keys()
    assert small(speech).shape == (2, 3, 9)


def test_with_all_units_a_model_does_the_same_and_with_fewer_the_rest_makes_up_for_them(model, speech):
    ready = ReadyToCut(model, lambda: model(speech))
    whole = factorize(model, ready.plan(ready.units), ready.decompositions)
    torch.testing.assert_close(whole(speech), model(speech))
    plan = ready.plan({name: n - 2 for name, n in ready.units.items()})
    blind = {name: replace(it, root=it.root[:0, :0], mean=0 * it.mean) for name, it in ready.decompositions.items()}
    errors = [
        float((factorize(model, plan, known)(speech) - model(speech)).detach().square().mean())
        for known in (ready.decompositions, blind)
    ]
    assert errors[0] < errors[1] / 2


def test_a_cut_model_is_cut_again_and_cannot_be_merged(model, speech):
    ready = ReadyToCut(model, lambda: model(speech))
    small = factorize(model, ready.plan({"first.weight_ih_l0": 4, "cell.weight_ih": 6}), ready.decompositions)
    again = ReadyToCut(small, lambda: small(speech))
    assert (again.units["first.weight_ih_l0"], again.pairs) == (6, ready.pairs)
    plan = again.plan({"first.weight_ih_l0": 4, "first.weight_ih_l0_reverse": 5, "cell.weight_ih": 4})
    smaller = factorize(small, plan, again.decompositions)
    assert smaller.second.weight_ih_l0.shape == (21, 24 - 2 * 2 - 2 * 1)
    assert model_cost(model).cost(current_plan(smaller)) == present_cost(smaller)
    with pytest.raises(PlanError, match=r"units were cut of the recurrent layer 'first\.weight_ih_l0'"):
        merge(smaller)


def test_a_plan_that_cuts_other_columns_than_units_is_refused(model, speech):
    ready = ReadyToCut(model, lambda: model(speech))
    plan = dict(ready.plan({"cell.weight_ih": 6}).choices)
    plan["output.weight"] = Choice(inputs=21)
    with pytest.raises(PlanError, match=r"layer 'output\.weight' has 21 inputs in the plan, and 20 are left"):
        factorize(model, CompressionPlan(plan), ready.decompositions)
