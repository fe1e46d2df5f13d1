import pytest
import torch
from torch import nn

from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.int8 import gains_by_int8, in_int8, is_int8
from shrinkml.errors import PlanError, PrecisionError
from shrinkml.layers import int8_linear
from shrinkml.layers.int8_linear import Int8Linear, Int8Product
from shrinkml.layers.linear import FormLinear
from shrinkml.plan.compression_plan import CompressionPlan


@pytest.fixture
def wide():
    """A large layer, a thin one, and others that have products of their own."""
    torch.manual_seed(0)
    layers = {"large": nn.Linear(192, 256), "thin": nn.Linear(256, 8), "table": nn.Embedding(400, 192)}
    return nn.ModuleDict(layers | {"lstm": nn.LSTM(192, 64), "conv": nn.Conv1d(192, 256, 1)}).eval()


@pytest.fixture
def lone(wide):
    return nn.ModuleDict({"large": wide["large"]})


def int8_layers(model):
    return {name for name, module in model.named_modules() if isinstance(module, Int8Linear)}


def test_large_linear_layers_multiply_in_int8_and_all_others_stay(wide):
    small = in_int8(wide)
    assert int8_layers(small) == {"large"}
    assert {name: type(layer) for name, layer in small.items() if name != "large"} == {
        name: type(layer) for name, layer in wide.items() if name != "large"
    }
    x = torch.randn(2, 5, 192)
    with torch.no_grad():
        expected, found = wide["large"](x), small["large"](x)
    assert found.shape == expected.shape
    assert 0.0 < float((found - expected).norm() / expected.norm()) < 0.02


def test_the_model_is_left_as_it_is(wide):
    before = {name: tensor.clone() for name, tensor in wide.state_dict().items()}
    in_int8(wide)
    assert not int8_layers(wide)
    assert all(torch.equal(tensor, before[name]) for name, tensor in wide.state_dict().items())


@pytest.mark.parametrize("shape", [(1, 2 * int8_linear.LEAST_WEIGHTS), (1024, int8_linear.LEAST_SIDE - 1), (128, 128)])
def test_a_model_of_small_and_thin_layers_gains_nothing_and_is_refused(shape):
    with pytest.raises(PrecisionError, match="nothing in the model would gain by int8"):
        in_int8(nn.Linear(*shape))


def test_layers_that_are_named_stay_in_float(wide):
    wide["other"] = nn.Linear(192, 256)
    assert int8_layers(in_int8(wide, kept={"large.weight"})) == {"other"}
    with pytest.raises(PlanError, match=r"no layer large\.weigth in the model"):
        in_int8(wide, kept={"large.weigth"})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_models_in_half_precision_compute_as_well(lone, dtype):
    x = torch.randn(9, 192)
    with torch.no_grad():
        expected, found = lone["large"](x), in_int8(lone.to(dtype))["large"](x.to(dtype))
    assert found.dtype == dtype
    assert float((found.float() - expected).norm() / expected.norm()) < 0.03


@pytest.mark.parametrize("shape", [(192,), (0, 192), (2, 0, 192)])
def test_one_frame_and_none_come_out_in_their_shape(lone, shape):
    assert in_int8(lone)["large"](torch.zeros(shape)).shape == (*shape[:-1], 256)


def test_an_int8_model_has_nothing_to_train_and_says_its_shape(lone):
    small = in_int8(lone)
    assert not any(parameter.requires_grad for parameter in small.parameters())
    assert all(parameter.requires_grad for parameter in lone.parameters())
    assert (small["large"].in_features, small["large"].out_features) == (192, 256)
    assert "192, 256, bias=True" in repr(small)


def test_a_layer_counts_as_many_parameters_as_before(wide):
    assert sum(p.numel() for p in in_int8(wide).parameters()) == sum(p.numel() for p in wide.parameters())


@pytest.mark.parametrize(("rank", "n_int8"), [(180, 2), (128, 1)])
def test_of_two_factors_those_that_are_large_enough_multiply_in_int8(wide, rank, n_int8):
    small = factorize(wide, CompressionPlan.of_ranks({"large.weight": rank}), decompose(wide, "svd"))
    assert isinstance(small["large"], FormLinear)
    quantized = in_int8(small)
    assert sum(isinstance(module, Int8Product) for module in quantized.modules()) == n_int8
    x = torch.randn(50, 192)
    with torch.no_grad():
        expected, found = small["large"](x), quantized["large"](x)
    assert float((found - expected).norm() / expected.norm()) < 0.03  # rounded twice


def test_an_output_layer_tied_to_an_embedding_multiplies_in_int8_and_the_embedding_stays(wide):
    head = nn.Linear(192, 400, bias=False)
    head.weight = wide["table"].weight
    tied = nn.ModuleDict({"table": wide["table"], "head": head})
    small = in_int8(tied)
    assert int8_layers(small) == {"head"}
    tokens = torch.tensor([3, 17])
    assert torch.equal(small["table"](tokens), wide["table"](tokens))


@pytest.mark.parametrize("rank", [None, 180, 128])
def test_code_that_reads_the_weight_gets_the_one_that_is_multiplied_with(wide, rank):
    plan = CompressionPlan.of_ranks({} if rank is None else {"large.weight": rank})
    small = in_int8(factorize(wide, plan, decompose(wide, "svd")))["large"]
    assert (small.weight.shape, small.weight.dtype) == ((256, 192), torch.float32)
    x = torch.randn(20, 192)
    with torch.no_grad():
        expected = x @ small.weight.T + small.bias
        assert float((small(x) - expected).norm() / expected.norm()) < 0.02  # the frames are rounded, too


def test_torchs_fused_encoder_layer_calls_its_layers_once_they_are_int8():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(128, 4, dim_feedforward=512, batch_first=True).eval()
    x = torch.randn(2, 9, 128)
    with torch.inference_mode():
        expected, found = layer(x), in_int8(layer)(x)
    assert 0.0 < float((found - expected).norm() / expected.norm()) < 0.02


def test_the_least_size_that_gains_is_below_what_bundled_models_hold():
    assert int8_linear.LEAST_WEIGHTS <= 192 * 192


def test_a_model_is_known_to_gain_before_and_to_be_int8_afterwards(lone):
    assert gains_by_int8(lone)
    assert not gains_by_int8(nn.Linear(8, 8))
    assert is_int8(in_int8(lone))
    assert not is_int8(lone)
