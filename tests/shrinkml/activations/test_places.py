import copy

import pytest
import torch
from torch import nn

from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.places import (
    attach_,
    divisor_at,
    quantizer_at,
    quantizers,
    rounded_at,
    spec_of,
    take_quantizers_,
)
from shrinkml.errors import PlanError


class Halving(nn.Module):
    rounded_places = ("halved", "root")

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return rounded_at(self, "halved", x * self.weight) / divisor_at(self, "root", x)


X = torch.tensor([1e-4, 0.3, 10.0])


@pytest.fixture
def model():
    return nn.Sequential(Halving(), nn.ReLU()).eval()


@pytest.fixture
def rounding(model):
    attach_(model, ActivationSpec(4))
    model.train()(X)
    return model.eval()


def test_a_model_without_quantizers_rounds_nothing(model):
    assert torch.equal(model(X), X * 0.5 / X)
    assert spec_of(model) is None


def test_places_are_rounded_each_by_its_range(rounding):
    assert [name for name, _ in quantizers(rounding)] == ["0.activations.halved", "0.activations.root"]
    assert spec_of(rounding) == ActivationSpec(4)
    assert float(quantizer_at(rounding[0], "halved").high) == 5.0
    assert float(quantizer_at(rounding[0], "root").high) == 10.0


def test_what_is_divided_by_is_never_rounded_to_zero(rounding):
    """10 in 15 steps: 1e-4 and 0.3 are nearest to 0."""
    assert rounding(X).isfinite().all()
    step = quantizer_at(rounding[0], "root").grid.scale
    torch.testing.assert_close(divisor_at(rounding[0], "root", X), torch.tensor([step, step, 10.0]))


def test_a_twin_has_the_quantizers_if_it_has_the_places(rounding, model):
    twin, other = Halving(), nn.ReLU()
    memo = {}
    take_quantizers_(twin, rounding[0], memo)
    take_quantizers_(other, rounding[0], memo)
    assert torch.equal(twin(X), rounding[0](X))
    assert quantizer_at(twin, "halved") is not quantizer_at(rounding[0], "halved")
    assert not other._modules


def test_copies_round_alike(rounding):
    assert torch.equal(copy.deepcopy(rounding)(X), rounding(X))


def test_a_model_without_places_is_refused():
    with pytest.raises(PlanError, match="no linear layer or convolution of few bits"):
        attach_(nn.Sequential(nn.Linear(2, 2)), ActivationSpec())
