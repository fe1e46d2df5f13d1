from dataclasses import replace

import pytest
import torch

from shrinkml.compression.factorizers import svd
from shrinkml.errors import PlanError
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.weights.dense import Dense
from shrinkml.weights.forms import form_of
from shrinkml.weights.quantized import PACKED, Quantized
from tests.shrinkml.weights.test_rounding import output_error, root_of

SHAPE = 12, 70


@pytest.fixture
def weight():
    torch.manual_seed(0)
    return torch.randn(SHAPE)


def under(weight, choice):
    return form_of(choice).compressed(Dense(weight), choice, svd(Dense(weight)))


def relative_error(form, weight):
    return float((form.dense() - weight).norm() / weight.norm())


@pytest.mark.parametrize(("bits", "error"), [(8, 0.01), (6, 0.03), (4, 0.12), (3, 0.25), (2, 0.5)])
def test_fewer_bits_lose_more(weight, bits, error):
    assert error / 4 < relative_error(under(weight, Choice(bits=bits)), weight) < error


def test_both_factors_of_a_rank_are_rounded(weight):
    whole, small = under(weight, Choice(rank=3)), under(weight, Choice(rank=3, bits=4))
    assert relative_error(small, whole.dense()) < 0.25
    assert all(len(factor.unique()) <= 15 * factor.numel() // 12 for factor in small.factors)
    assert [tuple(scales.shape) for scales in small.scales] == [(3, 1), (3, 2)], "of 12 rows, and of 70 columns"


def test_it_is_not_rounded_again_under_the_same_choice(weight):
    small = under(weight, Choice(rank=3, bits=4))
    again = type(small).compressed(small, small.choice, svd(small))
    assert torch.equal(again.dense(), small.dense())
    assert all(a is not b and torch.equal(a, b) for a, b in zip(again.parts, small.parts, strict=True))


def test_it_can_be_given_fewer_bits_and_a_lower_rank(weight):
    small = under(weight, Choice(rank=6, bits=8))
    smaller = form_of(Choice(rank=3, bits=4)).compressed(small, Choice(rank=3, bits=4), svd(small))
    assert smaller.choice == Choice(rank=3, bits=4)
    assert relative_error(smaller, under(weight, Choice(rank=3)).dense()) < 0.25


def test_files_hold_scales_and_then_packed_numbers(weight):
    small = under(weight, Choice(bits=4))
    (data,) = small.files.values()
    assert (data.dtype, tuple(data.shape)) == (torch.uint8, (12 * 2 + 12 * 70 // 2,))
    assert torch.equal(data[:24], small.scales[0].flatten())


def test_too_few_bytes_are_refused(weight):
    small = under(weight, Choice(bits=4))
    with pytest.raises(PlanError, match=r"443 bytes hold no matrix \[12, 70\] under \{'bits': 4\}"):
        type(small).opened(small.choice, SHAPE, {PACKED: small.files[PACKED][1:]})


def test_a_choice_without_bits_is_refused():
    with pytest.raises(PlanError, match="has no bits; allowed: 2 to 8"):
        form_of(Choice(bits=8)).zeros(DENSE, SHAPE)


def test_training_moves_weights_that_are_rounded_where_they_are_used(weight):
    raw = torch.nn.Parameter(weight.clone())
    _, scales = under(weight, Choice(bits=4)).parts
    optimizer, x = torch.optim.SGD([raw], lr=0.5), torch.eye(70)

    def loss():
        return form_of(Choice(bits=4)).stored(Choice(bits=4), [raw, scales]).multiply(x).square().mean()

    before = loss().item()
    for _ in range(20):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < before
    assert not torch.equal(raw, form_of(Choice(bits=4)).stored(Choice(bits=4), [raw, scales]).dense())


def test_every_plain_form_has_a_row_in_few_bits():
    assert issubclass(form_of(Choice(bits=2)), Quantized)
    assert issubclass(form_of(Choice(rank=2, bits=8)), Quantized)


@pytest.mark.parametrize("choice", [Choice(bits=3), Choice(rank=8, bits=3)])
def test_where_inputs_are_known_outputs_stay_close(weight, choice):
    root = root_of(SHAPE[1])
    known = replace(svd(Dense(weight)), root=root)
    blind, found = under(weight, choice), form_of(choice).compressed(Dense(weight), choice, known)
    whole = under(weight, replace(choice, bits=None)).dense()
    assert output_error(whole, found.dense(), root) < 0.75 * output_error(whole, blind.dense(), root)
    again = type(found).opened(choice, SHAPE, found.files)
    assert torch.equal(again.dense(), found.dense()), "files hold the same"
