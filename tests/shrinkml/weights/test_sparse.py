from dataclasses import replace

import pytest
import torch

from shrinkml.compression.factorizers import svd
from shrinkml.errors import PlanError, RankError
from shrinkml.plan.choice import Choice
from shrinkml.weights.dense import Dense
from shrinkml.weights.forms import form_of
from shrinkml.weights.sparse import Sparse, sparse
from tests.shrinkml.weights.test_quantized import relative_error, under

SHAPE = 12, 70
HALF = Choice(sparsity=0.5)


@pytest.fixture
def weight():
    torch.manual_seed(0)
    return torch.randn(SHAPE)


def with_spread(weight, spread):
    return replace(svd(Dense(weight)), root=spread.diag())


def test_every_line_keeps_its_largest_weights_and_as_many_as_any(weight):
    dense = under(weight, HALF).dense()
    for row, kept in zip(weight, dense, strict=True):
        order = row.abs().argsort(descending=True)
        assert torch.equal(kept[order[:35]], row[order[:35]])
        assert not kept[order[35:]].any()


def test_a_weight_counts_by_the_spread_of_what_it_multiplies(weight):
    spread = torch.ones(70)
    spread[:35] = 1e6
    pruned = form_of(HALF).compressed(Dense(weight), HALF, with_spread(weight, spread)).dense()
    assert torch.equal(pruned[:, :35], weight[:, :35])
    assert not pruned[:, 35:].any()


def test_of_a_product_the_first_factor_alone_hears_inputs(weight):
    choice, spread = Choice(rank=6, sparsity=0.5), torch.linspace(0.1, 10.0, 70)
    alike, pruned = (
        under(weight, choice),
        form_of(choice).compressed(Dense(weight), choice, with_spread(weight, spread)),
    )
    assert torch.equal(alike.factors[1], pruned.factors[1])
    assert not torch.equal(alike.factors[0], pruned.factors[0])


@pytest.mark.parametrize(("sparsity", "error"), [(0.5, 0.3), (0.7, 0.55), (0.9, 0.85)])
def test_more_zeros_lose_more(weight, sparsity, error):
    assert error / 1.5 < relative_error(under(weight, Choice(sparsity=sparsity)), weight) < error


def test_only_what_is_kept_is_rounded_and_shares_scales(weight):
    small = under(weight, Choice(bits=4, sparsity=0.5))
    assert [tuple(scales.shape) for scales in small.scales] == [(12, 1)], "of 35 weights in each line"
    assert int((small.dense() == 0).sum()) >= 12 * 35
    assert relative_error(small, under(weight, HALF).dense()) < 0.15


def test_zeros_stay_where_they_are_when_bits_become_fewer(weight):
    for rank in (None, 6):
        sparse = under(weight, Choice(rank=rank, bits=8, sparsity=0.5))
        smaller = form_of(Choice(rank=rank, bits=4, sparsity=0.5)).compressed(
            sparse, Choice(rank=rank, bits=4, sparsity=0.5), svd(sparse)
        )
        assert all(torch.equal(a, b) for a, b in zip(smaller.raw.masks, sparse.raw.masks, strict=True))
        sparser = form_of(Choice(rank=rank, sparsity=0.8)).compressed(
            sparse, Choice(rank=rank, sparsity=0.8), svd(sparse)
        )
        assert all(bool((a <= b).all()) for a, b in zip(sparser.masks, sparse.raw.masks, strict=True))


def test_zeros_stay_zero_in_training_and_the_rest_learns(weight):
    parts = [part.clone().requires_grad_(part.is_floating_point()) for part in under(weight, HALF).parts]
    before = form_of(HALF).stored(HALF, parts).dense().detach()
    optimizer = torch.optim.AdamW([parts[0]], lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        form_of(HALF).stored(HALF, parts).multiply(torch.randn(3, 70)).square().sum().backward()
        optimizer.step()
    after = form_of(HALF).stored(HALF, parts).dense()
    assert torch.equal(after == 0, before == 0)
    assert bool((after[before != 0] != before[before != 0]).all())


def test_the_gradient_of_a_kept_weight_is_that_of_the_dense_matrix(weight):
    parts = [part.clone().requires_grad_(part.is_floating_point()) for part in under(weight, HALF).parts]
    form, x = form_of(HALF).stored(HALF, parts), torch.randn(3, 70)
    dense = form.dense().detach().requires_grad_()
    form.multiply(x).square().sum().backward()
    (x @ dense.T).square().sum().backward()
    torch.testing.assert_close(parts[0].grad, dense.grad[parts[1]].view(12, 35))


def test_files_hold_weights_and_a_bit_for_each_place(weight):
    values, mask = under(weight, HALF).files.values()
    assert (tuple(values.shape), mask.dtype, mask.numel()) == ((12, 35), torch.uint8, 12 * 70 // 8)


def test_a_mask_of_another_matrix_is_refused(weight):
    files = under(weight, HALF).files
    with pytest.raises(PlanError, match=r"104 bytes hold no masks of \[12, 70\] under \{'sparsity': 0.5\}"):
        form_of(HALF).opened(HALF, SHAPE, {**files, "_mask": files["_mask"][1:]})
    with pytest.raises(PlanError, match=r"a mask \[12, 70\] keeps other than 35 weights of a line"):
        form_of(HALF).opened(HALF, SHAPE, {**files, "_mask": ~files["_mask"] | 1})


def test_a_rank_beyond_the_matrix_is_refused():
    with pytest.raises(RankError, match="rank 13"):
        form_of(Choice(rank=13, sparsity=0.5)).zeros(Choice(rank=13, sparsity=0.5), SHAPE)


def test_any_form_of_lines_alone_can_be_sparse():
    assert issubclass(sparse(Dense), Sparse)
    assert form_of(Choice(rank=3, sparsity=0.5)).plain.holds(Choice(rank=3))
