import os
import subprocess
import sys

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shrinkml.layers import int8_linear
from shrinkml.layers.int8_linear import LARGEST, LARGEST_WEIGHT, Int8Linear, Int8Product, gains, rounded
from shrinkml.weights.dense import Dense
from shrinkml.weights.low_rank import LowRank


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 40), n_in=st.integers(2, 70), n_out=st.integers(1, 70), seed=st.integers(0, 99))
def test_a_product_is_off_by_no_more_than_rounding_weights_and_frames_explains(n, n_in, n_out, seed):
    generator = torch.Generator().manual_seed(seed)
    x, weight = torch.randn(n, n_in, generator=generator), torch.randn(n_out, n_in, generator=generator)
    (_, x_scale), (_, weight_scale) = rounded(x, LARGEST), rounded(weight, LARGEST_WEIGHT)
    # (x + dx)(w + dw) - xw, with |dx| and |dw| half a scale at most.
    bound = 0.5 * (
        x.abs().sum(1, keepdim=True) * weight_scale.T
        + x_scale * weight.abs().sum(1)
        + 0.5 * n_in * x_scale * weight_scale.T
    )
    found = Int8Product(weight)(x)
    assert bool(((found - x @ weight.T).abs() <= bound + 1e-4).all())


def test_whole_numbers_that_int8_holds_are_multiplied_exactly():
    generator = torch.Generator().manual_seed(0)
    x, weight = (
        torch.randint(-most, most + 1, (n, 300), generator=generator).float()
        for n, most in ((5, LARGEST), (7, LARGEST_WEIGHT))
    )
    x[:, 0], weight[:, 0] = LARGEST, LARGEST_WEIGHT  # so that every scale is 1
    torch.testing.assert_close(Int8Product(weight)(x), x @ weight.T, rtol=1e-6, atol=0)


def test_the_largest_numbers_of_all_do_not_overflow_on_processors_that_add_in_16_bits():
    """Asked of oneDNN, which then takes the instructions of such a processor."""
    product = "import torch; from shrinkml.layers.int8_linear import Int8Product as P; "
    product += "print(float((P(torch.ones(64, 384))(torch.ones(8, 384)) - 384).abs().max()))"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    run = subprocess.run([sys.executable, "-c", product], env=environment, capture_output=True, text=True, check=True)
    assert float(run.stdout) < 1e-3


def test_many_frames_are_multiplied_as_few_are():
    torch.manual_seed(0)
    product, x = Int8Product(torch.randn(32, 64)), torch.randn(3 * int8_linear.BLOCK + 5, 64)
    found = product(x)
    torch.testing.assert_close(found[-7:], product(x[-7:]))
    torch.testing.assert_close(found[: int8_linear.BLOCK], product(x[: int8_linear.BLOCK]))


def test_each_frame_has_a_scale_of_its_own_and_silence_stays_silent():
    torch.manual_seed(0)
    quiet, loud = torch.randn(1, 64), 1000 * torch.randn(1, 64)
    product = Int8Product(torch.randn(32, 64))
    together = product(torch.cat([quiet, loud, torch.zeros(1, 64)]))
    torch.testing.assert_close(together[:1], product(quiet))
    assert torch.equal(together[2], torch.zeros(32))


def test_a_matrix_gains_where_one_of_its_factors_is_large_enough():
    wide, thin = torch.randn(256, 192), torch.randn(256, int8_linear.LEAST_SIDE - 1)
    assert gains(Dense(wide))
    assert not gains(Dense(thin))
    assert gains(LowRank(wide, torch.randn(192, 8)))
    assert not gains(LowRank(thin, thin.T))


def test_factors_multiply_in_turn_and_the_bias_is_added_at_the_end():
    torch.manual_seed(0)
    form, bias = LowRank(torch.randn(8, 4), torch.randn(4, 6)), torch.randn(8)  # too small for int8: exact
    layer, x = Int8Linear(form, bias), torch.randn(3, 6)
    torch.testing.assert_close(layer(x), form.multiply(x, bias))
    torch.testing.assert_close(layer.weight, form.dense())
