import pytest
import torch
from torch import nn

from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import current_plan, find_layers
from shrinkml.compression.surgery import merge, reshape
from shrinkml.errors import PlanError, RankError
from shrinkml.layers.lstm import FormLSTM
from shrinkml.plan.compression_plan import CompressionPlan

TOLERANCE = 1e-5  # float32 rounding through a few small layers


def full_rank(model):
    return CompressionPlan.of_ranks({layer.name: layer.max_rank for layer in find_layers(model)})


def low_rank(model, rank=2):
    return CompressionPlan.of_ranks({layer.name: rank for layer in find_layers(model)})


def n_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_tied_weights_stay_tied(recogniser, batch):
    model = factorize(recogniser, low_rank(recogniser), decompose(recogniser))
    assert model.output.weight_up is model.embedding.weight_up
    assert model.output.weight_down is model.embedding.weight_down
    merged = merge(model)
    assert merged.output.weight is merged.embedding.weight


def test_merged_models_are_torch_layers_with_the_same_output(recogniser, batch):
    model = factorize(recogniser, low_rank(recogniser), decompose(recogniser))
    merged = merge(model)
    assert [type(module) for module in merged.modules()] == [type(module) for module in recogniser.modules()]
    assert torch.allclose(merged(*batch), model(*batch), atol=TOLERANCE)
    assert current_plan(merged) == CompressionPlan()


def test_a_reshaped_model_loads_the_state_of_a_factorized_one(recogniser, batch):
    plan = low_rank(recogniser, 3)
    model = factorize(recogniser, plan, decompose(recogniser))
    loaded = reshape(recogniser, plan)
    loaded.load_state_dict(model.state_dict())
    assert torch.equal(loaded(*batch), model(*batch))


def test_a_layer_of_ours_that_is_dense_can_be_factorized():
    model = nn.Sequential(FormLSTM.of(nn.LSTM(6, 5)))
    plan = CompressionPlan.of_ranks({layer.name: 2 for layer in find_layers(model)})
    assert len(plan.ranks) == 2
    small = factorize(model, plan, decompose(model))
    assert current_plan(small).ranks == plan.ranks
    assert small(torch.randn(3, 6))[0].shape == (3, 5)


def test_surgery_does_not_draw_random_numbers(recogniser):
    decompositions = decompose(recogniser)
    before = torch.get_rng_state()
    merge(factorize(recogniser, low_rank(recogniser), decompositions))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("surgery", [lambda m, p: factorize(m, p, decompose(m)), reshape], ids=["factorize", "reshape"])
class TestRefusals:
    def test_unknown_layer(self, recogniser, surgery):
        with pytest.raises(PlanError, match=r"no layer 'decoder\.weight' in the .*known: front\.weight, encoder"):
            surgery(recogniser, CompressionPlan.of_ranks({"decoder.weight": 2}))

    def test_rank_beyond_the_layers_own(self, recogniser, surgery):
        with pytest.raises(RankError, match=r"rank 11 .*allowed: 1 to 10"):
            surgery(recogniser, CompressionPlan.of_ranks({"query.weight": 11}))
