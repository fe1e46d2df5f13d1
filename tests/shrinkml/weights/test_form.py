import pytest
import torch
from torch import nn

from shrinkml.plan.cost import Cost
from shrinkml.weights.dense import Dense
from shrinkml.weights.form import as_parameters, before_last, cost_of, floats_of, up_and_down
from shrinkml.weights.low_rank import LowRank
from tests.shrinkml.weights.toy_form import Rounded


@pytest.fixture
def thin():
    torch.manual_seed(0)
    return LowRank(torch.randn(6, 2), torch.randn(2, 4))


def test_one_product_is_left_behind_the_thin_factors(thin):
    x = torch.randn(3, 4)
    inner, last = before_last(thin, x)
    assert torch.equal(inner @ last.T, thin.multiply(x))
    dense = Dense(torch.randn(6, 4))
    assert before_last(dense, x) == (x, dense.weight)


def test_two_matrices_stand_for_any_number_of_factors(thin):
    assert up_and_down(thin) == (thin.up, thin.down)
    dense = Dense(torch.randn(6, 4))
    assert up_and_down(dense) == (dense.weight, None)


def test_three_factors_are_two():
    class Three:
        factors = torch.randn(2, 5), torch.randn(3, 2), torch.randn(6, 3)

    first, second, third = Three.factors
    up, down = up_and_down(Three())
    assert up is third
    assert torch.equal(down, second @ first)


def test_a_cost_counts_weights_bytes_and_products(thin):
    assert cost_of(thin.parts, 5.0) == Cost(20, 80, 100.0)
    assert cost_of([part.half() for part in thin.parts], 0.0) == Cost(20, 40, 0.0)


@pytest.mark.parametrize("trained", [True, False])
def test_stored_tensors_take_dtype_and_trainability_of_what_they_replace(thin, trained):
    old = Dense(nn.Parameter(torch.zeros(6, 4, dtype=torch.float64), requires_grad=trained))
    stored = as_parameters(thin, like=old)
    assert [parameter.dtype for parameter in stored] == [torch.float64] * 2
    assert [parameter.requires_grad for parameter in stored] == [trained] * 2


def test_integers_stay_integers_and_tell_nothing_of_the_dtype():
    rounded = Rounded(torch.ones(6, 4, dtype=torch.int8), torch.ones(6, 1, dtype=torch.float64))
    assert floats_of(rounded) is rounded.scale
    codes, scale = as_parameters(rounded, like=Dense(nn.Parameter(torch.zeros(6, 4))))
    assert (codes.dtype, codes.requires_grad) == (torch.int8, False)
    assert (scale.dtype, scale.requires_grad) == (torch.float32, True)
    (dense,) = as_parameters(Dense(torch.zeros(6, 4)), like=rounded)
    assert dense.dtype == torch.float64
