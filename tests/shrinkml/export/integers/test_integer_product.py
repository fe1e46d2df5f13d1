import numpy as np
import torch

from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.grid import grid_between
from shrinkml.export.integers.integer_product import ZERO, IntegerProduct
from shrinkml.weights.dense import Dense
from shrinkml.weights.integer_factors import integer_factors


def test_unsigned_numbers_stand_for_the_matrix():
    torch.manual_seed(0)
    (factor,) = integer_factors(Dense(torch.randn(4, 6)))
    grid = grid_between(torch.tensor(0.0), torch.tensor(1.0), ActivationSpec())
    product = IntegerProduct("layer", factor, grid)
    assert product.numbers.dtype == np.uint8
    weights = (product.numbers.astype(np.float32) - ZERO) * product.scales[:, None]
    np.testing.assert_allclose(weights, product.wide, atol=product.scales.max() / 2 + 1e-6)
