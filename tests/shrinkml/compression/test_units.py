import copy

import pytest
import torch
from torch import nn

from shrinkml.compression.calibration import LayerStats, calibrate
from shrinkml.compression.factorize import factorize
from shrinkml.compression.sites import current_plan, model_cost, present_cost
from shrinkml.compression.surgery import merge
from shrinkml.compression.unit_pairs import find_unit_pairs
from shrinkml.compression.units import decompose_units, unit_decomposition, unit_order
from shrinkml.errors import CalibrationError, PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.weights.dense import Dense

N_UNITS, N_OUT, N_FRAMES = 12, 5, 400
TOLERANCE = 1e-4  # float32, and a ridge of a thousandth


@pytest.fixture(scope="module")
def units():
    """Activations [frames, units] of which some are nearly sums of others."""
    torch.manual_seed(0)
    mixed = torch.randn(N_FRAMES, 7) @ torch.randn(7, N_UNITS)
    return (mixed + 0.3 * torch.randn(N_FRAMES, N_UNITS)).relu() + 1.0


@pytest.fixture(scope="module")
def weight():
    return torch.randn(N_OUT, N_UNITS, generator=torch.Generator().manual_seed(1))


def stats_of(x):
    return LayerStats(x.T @ x, x.sum(0), len(x))


def regression_error(x, weight, kept):
    """The least squared error of x W^T from the units `kept` and a bias, by least squares itself."""
    known = torch.cat([x[:, kept], torch.ones(len(x), 1)], 1).double()
    wanted = (x @ weight.T).double()
    return float((wanted - known @ torch.linalg.lstsq(known, wanted).solution).square().sum())


@pytest.fixture(scope="module")
def found(units, weight):
    return unit_decomposition(Dense(weight), stats_of(units), damping=1e-9)


class TestTheDecomposition:
    def test_all_directions_are_the_matrix(self, found, weight):
        torch.testing.assert_close(found.up @ found.down, weight, atol=TOLERANCE, rtol=0.0)

    @pytest.mark.parametrize("n", [1, 3, 7, N_UNITS])
    def test_the_first_directions_are_made_of_as_many_units(self, found, n):
        assert len(found.inputs_of(n)) == n
        assert {*found.inputs_of(n - 1).tolist()} < {*found.inputs_of(n).tolist()}

    @pytest.mark.parametrize("n", [1, 3, 7])
    def test_with_the_bias_they_err_as_little_as_a_regression_on_those_units(self, found, units, weight, n):
        up, down = found.at_rank(n)
        error = (units @ weight.T - units @ (up @ down).T - found.shift(n)).square().sum()
        least = regression_error(units, weight, found.inputs_of(n))
        assert float(error) == pytest.approx(least, rel=1e-3)
        assert float(found.singular_values[n:].square().sum()) == pytest.approx(least, rel=1e-3)

    def test_without_a_bias_too(self, units, weight):
        found = unit_decomposition(Dense(weight), stats_of(units), centred=False, damping=1e-9)
        kept = found.inputs_of(4)
        wanted = (units @ weight.T).double()
        best = torch.linalg.lstsq(units[:, kept].double(), wanted).solution
        up, down = found.at_rank(4)
        torch.testing.assert_close((up @ down)[:, kept].double(), best.T, atol=1e-3, rtol=0.0)
        assert not found.shift(4).any()

    def test_units_that_others_make_up_for_go_first(self):
        x = torch.randn(N_FRAMES, 4, generator=torch.Generator().manual_seed(2))
        x = torch.cat([x, x[:, :1] + 0.01 * torch.randn(N_FRAMES, 1)], 1)  # large, but the first says the same
        order = unit_order(torch.ones(1, 5).double(), (x.T @ x).double())
        assert {*order[-1:].tolist()} <= {0, 4}

    def test_few_units_are_chosen_nearly_as_well_as_by_trying_all(self, found, units, weight):
        every = torch.combinations(torch.arange(N_UNITS), 6)
        least = min(regression_error(units, weight, kept) for kept in every)
        assert regression_error(units, weight, found.inputs_of(6)) < 1.15 * least

    def test_too_few_frames_are_refused(self, weight):
        x = torch.full((3, N_UNITS), float("inf"))
        with pytest.raises(CalibrationError, match="not positive definite"):
            unit_decomposition(Dense(weight), stats_of(x))


class Blocks(nn.Module):
    """Two feed-forward blocks, the second without biases."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 24), nn.Linear(24, 6)
        self.c, self.d = nn.Linear(6, 16, bias=False), nn.Linear(16, 6, bias=False)

    def forward(self, x):
        x = x + self.b(self.a(x).relu())
        return x + self.d(torch.tanh(self.c(x)))


PAIRS = {"a.weight": "b.weight", "c.weight": "d.weight"}


def plan_of(units):
    plan = {}
    for first, n in units.items():
        plan |= {first: Choice(outputs=n), PAIRS[first]: Choice(outputs=n).following}
    return CompressionPlan(plan)


@pytest.fixture
def blocks():
    torch.manual_seed(3)
    return Blocks().eval()


@pytest.fixture
def speech():
    return torch.randn(50, 6, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def decompositions(blocks, speech):
    assert find_unit_pairs(blocks, lambda: blocks(speech)) == PAIRS
    return dict(decompose_units(blocks, PAIRS, calibrate(blocks, lambda: blocks(speech))))


class TestCutting:
    def test_the_layers_are_narrower_and_cost_what_the_plan_says(self, blocks, decompositions):
        plan = plan_of({"a.weight": 5, "c.weight": 3})
        small = factorize(blocks, plan, decompositions)
        shapes = {name: tuple(parameter.shape) for name, parameter in small.named_parameters()}
        assert shapes == {
            "a.weight": (5, 6),
            "a.bias": (5,),
            "b.weight": (6, 5),
            "b.bias": (6,),
            "c.weight": (3, 6),
            "d.weight": (6, 3),
        }
        n = 5 * 6 + 5 + 6 * 5 + 6 + 3 * 6 + 6 * 3
        assert current_plan(small) == plan
        assert model_cost(blocks).cost(plan) == model_cost(small).cost(plan) == present_cost(small) == Cost(n, 4 * n)

    def test_the_units_left_are_those_that_the_decomposition_keeps(self, blocks, decompositions):
        small = factorize(blocks, plan_of({"a.weight": 5}), decompositions)
        kept = decompositions["a.weight"].inputs_of(5)
        assert torch.equal(small.a.weight, blocks.a.weight[kept])
        assert torch.equal(small.a.bias, blocks.a.bias[kept])
        assert torch.equal(small.d.weight, blocks.d.weight)

    def test_with_all_units_it_does_the_same(self, blocks, decompositions, speech):
        small = factorize(blocks, plan_of({"a.weight": 24, "c.weight": 16}), decompositions)
        torch.testing.assert_close(small(speech), blocks(speech))

    def test_the_rest_makes_up_for_what_was_cut(self, blocks, decompositions, speech):
        small = factorize(blocks, plan_of({"a.weight": 12}), decompositions)
        blind = copy.deepcopy(blocks)
        with torch.no_grad():
            cut = torch.ones(24, dtype=torch.bool)
            cut[decompositions["a.weight"].inputs_of(12)] = False
            blind.b.weight[:, cut] = 0.0
            errors = [float((model(speech) - blocks(speech)).square().mean()) for model in (small, blind)]
        assert errors[0] < errors[1] / 4

    def test_it_is_cut_further(self, blocks, decompositions, speech):
        small = factorize(blocks, plan_of({"a.weight": 12}), decompositions)
        assert find_unit_pairs(small, lambda: small(speech)) == PAIRS
        again = dict(decompose_units(small, PAIRS, calibrate(small, lambda: small(speech))))
        smaller = factorize(small, plan_of({"a.weight": 4}), again)
        assert current_plan(smaller) == plan_of({"a.weight": 4})
        assert smaller.a.weight.shape == (4, 6)
        assert torch.equal(smaller.a.bias, small.a.bias[again["a.weight"].inputs_of(4)])

    def test_units_are_rounded_too(self, blocks, decompositions, speech):
        choice = Choice(outputs=12, bits=8)
        plan = CompressionPlan({"a.weight": choice, "b.weight": choice.following})
        small = factorize(blocks, plan, decompositions)
        assert current_plan(small) == plan
        assert model_cost(blocks).cost(plan) == present_cost(small)
        whole = factorize(blocks, plan_of({"a.weight": 12}), decompositions)
        torch.testing.assert_close(small(speech), whole(speech), atol=0.02, rtol=0.0)

    def test_merged_it_is_as_wide_as_before_and_does_the_same(self, blocks, decompositions, speech):
        small = factorize(blocks, plan_of({"a.weight": 5, "c.weight": 3}), decompositions)
        merged = merge(small)
        assert [part.shape for part in merged.parameters()] == [part.shape for part in blocks.parameters()]
        torch.testing.assert_close(merged(speech), small(speech))

    def test_units_of_one_of_a_pair_alone_are_refused(self, blocks, decompositions):
        with pytest.raises(PlanError, match=r"leaves \[5\] outputs of layers and \[\] inputs of others; units are cut"):
            factorize(blocks, CompressionPlan({"a.weight": Choice(outputs=5)}), decompositions)

    def test_pairs_that_hear_nothing_are_left_out(self, blocks):
        with torch.no_grad():
            blocks.a.weight.zero_()
            blocks.a.bias.fill_(-1.0)
        stats = calibrate(blocks, lambda: blocks(torch.randn(20, 6)))
        assert {*dict(decompose_units(blocks, PAIRS, stats))} == {"c.weight", "d.weight"}
