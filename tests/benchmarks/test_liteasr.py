"""LiteASR's rule, as `make bench-liteasr` and `make bench-pretrained` follow it."""

import pytest
import torch

from shrinkml.weights.decomposition import Decomposition

SHAPES = {"square": (64, 64), "wide": (64, 256)}


@pytest.fixture
def factors():
    """Layers, of whose outputs each of the first 32 components has as much energy, and the others have none."""
    values = torch.cat([torch.ones(32), torch.zeros(32)])
    return {
        name: Decomposition(torch.eye(64), torch.zeros(64, n), values, values, torch.zeros(n), torch.eye(n))
        for name, (_, n) in SHAPES.items()
    }


@pytest.mark.parametrize(
    ("share", "ranks"),
    [
        (0.5, {"square": 16, "wide": 16}),  # half of the energy lies in 16 components
        (0.51, {"wide": 32}),  # 17 are needed, and 32 of a square save nothing
    ],
)
def test_ranks_are_multiples_of_16_that_keep_the_share_of_energy_where_that_saves_weights(bench, factors, share, ranks):
    assert bench.liteasr_plan(SHAPES, factors, dict.fromkeys(SHAPES, share)).ranks == ranks


def test_each_layer_has_a_share_of_its_own_and_those_without_stay(bench, factors):
    assert bench.liteasr_plan(SHAPES, factors, {"wide": 0.3}).ranks == {"wide": 16}
