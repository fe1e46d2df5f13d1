import numpy as np
import pytest

from envs.menus import build_menus
from envs.problem import RankProblem
from shrinkml.compression.cost import ModelCost
from shrinkml.compression.plan import LayerSpec, RankPlan


@pytest.fixture
def make_problem():
    """Builds a problem of linear layers from their (out, in) shapes, with random spectra."""

    def build(shapes, *, compression_ratio=2.0, menus=None, steps=5, spectra=None, seed=0):
        rng = np.random.default_rng(seed)
        layers = tuple(LayerSpec(f"layer{i}", "linear", out, inp) for i, (out, inp) in enumerate(shapes))
        return RankProblem(
            cost=ModelCost(layers, other_parameters=10),
            menus=menus or build_menus(layers, current_ranks=RankPlan({}), steps=steps),
            compression_ratio=compression_ratio,
            spectra=spectra
            or {layer.name: tuple(sorted(rng.exponential(1.0, layer.max_rank), reverse=True)) for layer in layers},
            baseline_wer=0.01,
        )

    return build
