import pytest
import torch

from shrinkml.compression.factorizers import svd
from shrinkml.plan.choice import Choice
from shrinkml.weights.dense import Dense
from shrinkml.weights.forms import form_of
from shrinkml.weights.integer_factors import column_scales, integer_factors

STORED = [Choice(bits=8), Choice(rank=3, bits=8), Choice(bits=8, sparsity=0.5), Choice(rank=3, bits=8, sparsity=0.5)]
OTHERS = [Choice(bits=4), Choice(rank=3, bits=6), Choice(rank=3, identity=True, bits=8), Choice(rank=3)]


def under(choice):
    torch.manual_seed(0)
    weight = torch.randn(12, 70)
    return form_of(choice).compressed(Dense(weight), choice, svd(Dense(weight)))


def product(form):
    """The dense matrix, of whole numbers and scales alone."""
    x = torch.eye(form.shape[1])
    for factor in integer_factors(form):
        x = x @ (factor.numbers.float() * factor.scales[:, None]).T
    return x.T


@pytest.mark.parametrize("choice", STORED, ids=str)
def test_stored_numbers_of_8_bits_are_those_that_multiply(choice):
    form = under(choice)
    torch.testing.assert_close(product(form), form.dense(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("choice", OTHERS, ids=str)
def test_others_are_rounded_row_by_row(choice):
    form = under(choice)
    assert 0 < (product(form) - form.dense()).norm() < 0.02 * form.dense().norm()


@pytest.mark.parametrize("choice", STORED + OTHERS, ids=str)
def test_they_stand_for_the_factors_that_multiply(choice):
    form = under(choice)
    for found, factor in zip(integer_factors(form), form.factors, strict=True):
        assert torch.equal(found.wide, factor)
        assert found.numbers.shape == factor.shape
        assert found.numbers.min() >= -127


def test_the_scales_of_columns_go_to_what_they_multiply():
    form = under(Choice(rank=3, bits=8))
    none, scales = column_scales(form)
    _, last = integer_factors(form)
    assert none is None
    torch.testing.assert_close(form.factors[1], last.numbers * scales)
    assert torch.equal(last.scales, torch.ones(12))
    assert column_scales(under(Choice(bits=8))) == (None,)


def test_a_row_of_zeros_has_a_scale():
    (found,) = integer_factors(Dense(torch.zeros(2, 3)))
    assert not found.numbers.any()
    assert (found.scales > 0).all()
