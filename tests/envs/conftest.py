import numpy as np
import pytest

from envs.menus import build_menus
from envs.rank_options import rank_problem
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import parameter_prices


@pytest.fixture
def make_problem():
    """Builds a problem of linear layers from their (out, in) shapes, with random spectra."""

    def build(shapes, *, compression_ratio=2.0, menus=None, steps=5, spectra=None, seed=0, prices=parameter_prices):
        rng = np.random.default_rng(seed)
        layers = tuple(LayerSpec(f"layer{i}", "linear", out, inp) for i, (out, inp) in enumerate(shapes))
        cost = ModelCost(layers, other=Cost(10, 40))
        return rank_problem(
            cost,
            prices=prices(cost),
            menus=menus or build_menus(layers, current_ranks=CompressionPlan(), steps=steps),
            compression_ratio=compression_ratio,
            spectra=spectra
            or {layer.name: tuple(sorted(rng.exponential(1.0, layer.max_rank), reverse=True)) for layer in layers},
            baseline_wer=0.01,
        )

    return build
