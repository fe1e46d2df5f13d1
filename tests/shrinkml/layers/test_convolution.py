"""The oracle is torch's own convolution with the product of the factors as its weight."""

import pytest
import torch
from torch import nn

from shrinkml.compression.calibration import calibrate
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.compression.surgery import merge
from shrinkml.layers import convolution
from shrinkml.layers.convolution import FormConv1d
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import LayerSpec

SHAPES = [{}, {"stride": 2}, {"padding": 1, "bias": False}, {"dilation": 2, "stride": 3, "padding": 4}]


def conv(**options):
    return nn.Conv1d(3, 5, 4, **options)


@pytest.mark.parametrize("options", SHAPES)
def test_a_low_rank_convolution_equals_the_dense_one(options):
    dense = conv(**options)
    small = factorize(dense, CompressionPlan.of_ranks({"weight": 2}), decompose(dense))
    x = torch.randn(2, 3, 19)
    assert isinstance(small, FormConv1d)
    torch.testing.assert_close(small(x), merge(small)(x))
    torch.testing.assert_close(small(x[0]), merge(small)(x)[0])


@pytest.mark.parametrize("options", SHAPES)
def test_full_rank_gives_the_same_output(options):
    dense = conv(**options)
    same = factorize(dense, CompressionPlan.of_ranks({"weight": 5}), decompose(dense))
    x = torch.randn(2, 3, 19)
    torch.testing.assert_close(same(x), dense(x), atol=1e-5, rtol=1e-5)


def test_a_convolution_is_a_layer_of_its_window():
    assert find_layers(conv()) == (LayerSpec("weight", "linear", 5, 12),)
    small = factorize(conv(), CompressionPlan.of_ranks({"weight": 2}), decompose(conv()))
    assert find_layers(small) == find_layers(conv())
    assert sum(parameter.numel() for parameter in small.parameters()) == 2 * (5 + 12) + 5


def test_the_weight_can_be_read_as_that_of_a_dense_convolution():
    small = factorize(conv(), CompressionPlan.of_ranks({"weight": 2}), decompose(conv()))
    assert torch.equal(small.weight, merge(small).weight)
    assert "choices={'weight': 2}" in repr(small)


@pytest.mark.parametrize("most", [1, 2**22])
@pytest.mark.parametrize("options", SHAPES)
def test_calibration_sees_every_window(monkeypatch, options, most):
    monkeypatch.setattr(convolution, "WINDOW_ELEMENTS", most)
    dense = conv(**options)
    x = torch.randn(2, 3, 19)
    stats = calibrate(dense, lambda: (dense(x), dense(x[0])))["weight"]
    # The oracle: what a convolution with the identity as its weight puts out.
    identity = torch.eye(12).unflatten(1, (3, 4))
    seen = nn.functional.conv1d(torch.cat([x, x[:1]]), identity, None, dense.stride, dense.padding, dense.dilation)
    frames = seen.transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(stats.gram, frames.T @ frames)
    assert stats.n_frames == len(frames)


@pytest.mark.parametrize(
    "layer",
    [nn.Conv1d(4, 4, 3, groups=2), nn.Conv1d(4, 4, 3, padding_mode="circular"), nn.Conv1d(4, 4, 3, padding="same")],
    ids=["groups", "circular", "same"],
)
def test_convolutions_that_are_no_plain_product_are_left_alone(layer):
    assert [found.name for found in find_layers(nn.Sequential(layer, nn.Linear(4, 4)))] == ["1.weight"]
