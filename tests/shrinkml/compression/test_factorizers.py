"""The oracle is Eckart and Young's theorem: no matrix of rank r is closer than the sum of the dropped energies."""

import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shrinkml.compression.calibration import LayerStats, calibrate
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizer_table import FACTORIZERS
from shrinkml.compression.factorizers import (
    DAMPING,
    TALL,
    decompose,
    decompose_each,
    pca,
    svd,
    whitened_svd,
)
from shrinkml.errors import CalibrationError, PlanError, RankError, UnknownNameError
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.weights.dense import Dense
from shrinkml.weights.low_rank import LowRank

drawn = settings(deadline=None, max_examples=30)
sizes = st.integers(1, 12)


def stats_of(frames):
    return LayerStats(frames.T @ frames, frames.sum(0), len(frames))


def product(factors):
    up, down = factors
    return up @ down


def error(weight, factors):
    return (weight - product(factors)).square().sum()


def output_error(weight, factors, frames):
    return (frames @ (weight - product(factors)).T).square().sum()


@pytest.mark.parametrize("factorizer", [row.decompose for row in FACTORIZERS.values()], ids=FACTORIZERS)
class TestEveryFactorizer:
    @drawn
    @given(n_out=sizes, n_in=sizes, seed=st.integers(0, 999))
    def test_full_rank_gives_the_matrix_back(self, factorizer, n_out, n_in, seed):
        torch.manual_seed(seed)
        weight = torch.randn(n_out, n_in)
        found = factorizer(Dense(weight), stats_of(torch.randn(40, n_in)))
        assert found.max_rank == min(n_out, n_in)
        torch.testing.assert_close(product(found.at_rank(found.max_rank)), weight, atol=1e-4, rtol=1e-4)

    @drawn
    @given(n_out=sizes, n_in=sizes, rank=sizes, seed=st.integers(0, 999))
    def test_a_product_is_decomposed_as_its_dense_matrix_and_to_its_own_rank(self, factorizer, n_out, n_in, rank, seed):
        torch.manual_seed(seed)
        factors = LowRank(torch.randn(n_out, rank), torch.randn(rank, n_in))
        stats = stats_of(torch.randn(40, n_in))
        found, dense = factorizer(factors, stats), factorizer(Dense(factors.dense()), stats)
        assert found.max_rank == min(n_out, n_in, rank)
        spectrum = dense.singular_values[: found.max_rank]
        torch.testing.assert_close(found.singular_values, spectrum, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(product(found.at_rank(found.max_rank)), factors.dense(), atol=1e-3, rtol=1e-3)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_the_decomposition_has_the_type_of_the_matrix(self, factorizer, dtype):
        weight = torch.randn(5, 4, dtype=dtype)
        found = factorizer(Dense(weight), stats_of(torch.randn(40, 4)))
        assert {found.up.dtype, found.down.dtype, found.singular_values.dtype} == {dtype}

    def test_the_spectrum_descends(self, factorizer):
        values = factorizer(Dense(torch.randn(8, 6)), stats_of(torch.randn(40, 6))).singular_values
        assert torch.equal(values, values.sort(descending=True).values)

    def test_both_factors_of_a_component_are_equally_long(self, factorizer):
        found = factorizer(Dense(torch.randn(8, 6)), stats_of(100 * torch.randn(40, 6)))
        torch.testing.assert_close(found.up.norm(dim=0), found.down.norm(dim=1))

    @pytest.mark.parametrize("rank", [0, 5])
    def test_ranks_out_of_range_are_refused(self, factorizer, rank):
        found = factorizer(Dense(torch.randn(6, 4)), stats_of(torch.randn(40, 4)))
        with pytest.raises(RankError, match=rf"rank {rank} .*allowed: 1 to 4"):
            found.at_rank(rank)


@drawn
@given(n_out=sizes, n_in=sizes, data=st.data(), seed=st.integers(0, 999))
def test_the_error_of_the_weights_is_the_energy_dropped(n_out, n_in, data, seed):
    torch.manual_seed(seed)
    weight = torch.randn(n_out, n_in)
    rank = data.draw(st.integers(1, min(n_out, n_in)))
    found = svd(Dense(weight))
    dropped = found.singular_values[rank:].square().sum()
    torch.testing.assert_close(error(weight, found.at_rank(rank)), dropped, atol=1e-4, rtol=1e-3)


@drawn
@given(n_out=sizes, n_in=sizes, data=st.data(), seed=st.integers(0, 999))
def test_the_whitened_error_of_the_outputs_is_the_energy_dropped(n_out, n_in, data, seed):
    torch.manual_seed(seed)
    weight = torch.randn(n_out, n_in, dtype=torch.float64)
    frames = torch.randn(60, n_in, dtype=torch.float64) @ torch.randn(n_in, n_in, dtype=torch.float64)
    rank = data.draw(st.integers(1, min(n_out, n_in)))
    # The theorem holds without a ridge; with one the error is that of slightly different inputs.
    found = whitened_svd(Dense(weight), stats_of(frames), damping=1e-12)
    dropped = found.singular_values[rank:].square().sum()
    scale = float((frames @ weight.T).square().sum())
    torch.testing.assert_close(output_error(weight, found.at_rank(rank), frames), dropped, atol=1e-6 * scale, rtol=1e-3)


def test_whitening_beats_plain_svd_on_the_inputs_that_it_was_calibrated_on():
    torch.manual_seed(0)
    weight, frames = torch.randn(30, 20), torch.randn(400, 20) * torch.logspace(0, -2, 20)
    plain, whitened = svd(Dense(weight)).at_rank(5), whitened_svd(Dense(weight), stats_of(frames)).at_rank(5)
    assert output_error(weight, whitened, frames) < 0.5 * output_error(weight, plain, frames)
    assert error(weight, plain) < error(weight, whitened)


@drawn
@given(n_out=sizes, n_in=sizes, data=st.data(), seed=st.integers(0, 999))
def test_with_the_bias_shifted_the_error_of_the_outputs_is_the_energy_dropped(n_out, n_in, data, seed):
    torch.manual_seed(seed)
    weight = torch.randn(n_out, n_in, dtype=torch.float64)
    frames = torch.randn(60, n_in, dtype=torch.float64) + 3 * torch.randn(n_in, dtype=torch.float64)
    rank = data.draw(st.integers(1, min(n_out, n_in)))
    found = pca(Dense(weight), stats_of(frames), damping=1e-12)
    errors = frames @ (weight - product(found.at_rank(rank))).T - found.shift(rank)
    scale = float((frames @ weight.T).square().sum())
    torch.testing.assert_close(errors.sum(0), torch.zeros(n_out).double(), atol=1e-6 * scale, rtol=0)
    dropped = found.singular_values[rank:].square().sum()
    torch.testing.assert_close(errors.square().sum(), dropped, atol=1e-6 * scale, rtol=1e-3)


@pytest.mark.parametrize("spread", [0.0, 1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize("n_frames", [1, 100, 5000])
def test_inputs_that_hardly_vary_are_no_reason_to_fail(n_frames, spread):
    """Their covariance in single precision is rounding, and need not be positive definite."""
    torch.manual_seed(0)
    weight, frames = torch.randn(24, 16), 30.0 * torch.randn(16) + spread * torch.randn(n_frames, 16)
    found = pca(Dense(weight), stats_of(frames))
    outputs = frames @ product(found.at_rank(2)).T + found.shift(2)
    torch.testing.assert_close(outputs, frames @ weight.T, atol=1e-2 + 20.0 * spread, rtol=1e-4)


@pytest.mark.parametrize("bias", [True, False])
def test_the_mean_is_left_to_a_bias_where_there_is_one(bias):
    torch.manual_seed(0)
    lstm, frames = nn.LSTM(8, 6, bias=bias, batch_first=True), torch.randn(5, 30, 8) + 3 * torch.randn(8)
    stats = calibrate(lstm, lambda: lstm(frames))
    plan = CompressionPlan.of_ranks({"weight_ih_l0": 2})
    exact = lstm(frames)[0]
    errors = {
        name: (factorize(lstm, plan, decompose(lstm, name, stats))(frames)[0] - exact).square().mean()
        for name in ("whitened", "pca")
    }
    if bias:
        assert errors["pca"] < 0.9 * errors["whitened"]
    else:
        assert errors["pca"] == errors["whitened"]


@pytest.mark.parametrize("name", FACTORIZERS)
def test_only_the_calibrated_factorizers_look_at_statistics(name):
    weight, frames = torch.randn(6, 4), torch.randn(50, 4) @ torch.diag(torch.tensor([9.0, 1.0, 1.0, 0.1]))
    with_stats, without = (FACTORIZERS[name].decompose(Dense(weight), stats) for stats in (stats_of(frames), None))
    assert torch.equal(with_stats.singular_values, without.singular_values) == (not FACTORIZERS[name].calibrated)


@pytest.mark.parametrize("name", FACTORIZERS)
def test_tall_matrices_are_decomposed_as_closely_as_lapack_does(name):
    n_in, n_out = 24, TALL * 24 + 7
    weight = (torch.randn(n_out, n_in) * torch.logspace(0, -4, n_in)) @ torch.linalg.qr(torch.randn(n_in, n_in))[0]
    stats = stats_of(torch.randn(200, n_in) @ torch.randn(n_in, n_in))
    found = FACTORIZERS[name].decompose(Dense(weight), stats)
    gram, mean = stats.gram.double(), stats.total.double() / 200
    gram = gram - 200 * torch.outer(mean, mean) if name == "pca" else gram
    damped = gram + DAMPING * gram.diagonal().mean() * torch.eye(n_in)
    whitening = torch.eye(n_in).double() if name == "svd" else torch.linalg.cholesky(damped)
    exact = torch.linalg.svdvals(weight.double() @ whitening)
    torch.testing.assert_close(found.singular_values.double(), exact, rtol=1e-5, atol=1e-7 * float(exact[0]))
    for rank in (1, 7, 20):
        lost = ((weight - product(found.at_rank(rank))).double() @ whitening).norm()
        assert lost.item() == pytest.approx(exact[rank:].norm().item(), rel=1e-3)
    torch.testing.assert_close(product(found.at_rank(n_in)), weight, atol=1e-5, rtol=1e-5)


def test_a_tall_matrix_of_low_rank_is_given_back():
    weight = torch.randn(TALL * 8, 3) @ torch.randn(3, 8)
    found = svd(Dense(weight))
    torch.testing.assert_close(product(found.at_rank(3)), weight, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(product(found.at_rank(8)), weight, atol=1e-5, rtol=1e-5)


def test_without_statistics_whitening_is_plain_svd():
    weight = torch.randn(6, 4)
    assert torch.equal(whitened_svd(Dense(weight), None).up, svd(Dense(weight)).up)


def test_inputs_that_are_always_zero_do_not_keep_a_layer_from_being_whitened():
    frames = torch.randn(50, 4)
    frames[:, 2] = 0.0
    found = whitened_svd(Dense(torch.randn(6, 4)), stats_of(frames))
    assert found.up.isfinite().all()
    assert found.down.isfinite().all()


class Deaf(nn.Module):
    """Its second layer hears nothing but zeros."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 4)

    def forward(self, x):
        return self.second(self.first(x).clamp(min=0.0, max=0.0))


@pytest.mark.parametrize("name", FACTORIZERS)
def test_a_layer_that_hears_nothing_is_left_out_and_named_where_inputs_count(name, caplog):
    model = Deaf()
    stats = calibrate(model, lambda: model(torch.randn(20, 6)))
    assert (stats["first.weight"].is_silent, stats["second.weight"].is_silent) == (False, True)
    found = decompose(model, name, stats)
    assert list(found) == ["first.weight", "second.weight"][: 1 if FACTORIZERS[name].calibrated else 2]
    assert ("stay as they are: ['second.weight']" in caplog.text) == FACTORIZERS[name].calibrated


def test_a_model_that_hears_nothing_at_all_is_refused():
    model = nn.Sequential(nn.Linear(6, 5, bias=False), nn.Linear(5, 4))
    stats = calibrate(model, lambda: model(torch.zeros(20, 6)))
    message = r"inputs of all layers \(0\.weight, 1\.weight\) are 0 on the calibration speech: the model hears"
    with pytest.raises(CalibrationError, match=message):
        decompose(model, "pca", stats)


def test_the_layer_whose_statistics_cannot_be_used_is_named():
    stats = {"0.weight": LayerStats(-torch.eye(4), torch.zeros(4), 3)}
    message = (
        r"layer '0\.weight': the gram matrix \[4, 4\] .* is not positive definite; calibrate on more speech, or take"
    )
    with pytest.raises(CalibrationError, match=message):
        decompose(nn.Sequential(nn.Linear(4, 6)), "whitened", stats)


def test_a_gram_matrix_that_is_not_positive_definite_is_refused():
    with pytest.raises(CalibrationError, match=r"gram matrix \[4, 4\] of 3 frames with damping 0.0 is not positive"):
        whitened_svd(Dense(torch.randn(6, 4)), LayerStats(-torch.eye(4), torch.zeros(4), 3), damping=0.0)


def test_factors_share_no_memory_with_their_decomposition():
    found = svd(Dense(torch.randn(6, 4)))
    before = found.up.clone()
    found.at_rank(4)[0].zero_()
    assert torch.equal(found.up, before)


class TestDecompose:
    def test_every_layer_is_decomposed_once(self, recogniser):
        found = decompose(recogniser)
        assert "embedding.weight" in found
        assert "output.weight" not in found  # tied to the embedding
        assert len(found) == 13

    def test_one_by_one_nothing_is_held_that_was_handed_out(self, recogniser, batch):
        stats = calibrate(recogniser, lambda: recogniser(*batch))
        expected = decompose(recogniser, "whitened", stats)
        grams = {name: weakref.ref(one.gram) for name, one in stats.items()}
        decomposed = decompose_each(recogniser, "whitened", stats)
        ups: list[weakref.ref] = []
        for name, found in decomposed:
            assert torch.equal(found.up, expected[name].up)
            assert name not in grams or grams[name]() is None
            assert not any(up() is not None for up in ups)
            ups.append(weakref.ref(found.up))
            del found
        assert len(ups) == len(expected)
        assert not stats

    def test_ranks_are_capped_by_those_of_a_factorized_model(self, recogniser):
        model = factorize(recogniser, CompressionPlan.of_ranks({"query.weight": 3}), decompose(recogniser))
        assert decompose(model)["query.weight"].max_rank == 3

    def test_the_result_carries_no_gradient(self, recogniser):
        assert not any(found.up.requires_grad for found in decompose(recogniser).values())

    @pytest.mark.parametrize("value", [torch.nan, torch.inf])
    def test_broken_weights_are_refused(self, recogniser, value):
        recogniser.query.weight.data[0, 0] = value
        with pytest.raises(PlanError, match=r"layer 'query.weight' has NaN or infinite weights"):
            decompose(recogniser)

    def test_an_unknown_factorizer_is_refused(self):
        with pytest.raises(UnknownNameError, match="no factorizer named 'sdv'; known: pca, svd, whitened"):
            decompose(nn.Linear(2, 2), "sdv")
