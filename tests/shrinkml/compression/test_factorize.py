import copy

import pytest
import torch
from torch import nn

from shrinkml.compression.calibration import calibrate
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import current_plan, find_layers, model_cost
from shrinkml.errors import PlanError, RankError
from shrinkml.layers.lstm import FormLSTM
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan

TOLERANCE = 1e-5  # float32 rounding through a few small layers


def full_rank(model):
    return CompressionPlan.of_ranks({layer.name: layer.max_rank for layer in find_layers(model)})


def low_rank(model, rank=2):
    return CompressionPlan.of_ranks({layer.name: rank for layer in find_layers(model)})


def n_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_factors_of_full_rank_give_the_same_output(recogniser, batch):
    model = factorize(recogniser, full_rank(recogniser), decompose(recogniser))
    assert torch.allclose(model(*batch), recogniser(*batch), atol=TOLERANCE)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_the_parameters_counted_are_the_parameters_there_are(recogniser, rank):
    plan = low_rank(recogniser, rank)
    model = factorize(recogniser, plan, decompose(recogniser))
    assert model_cost(recogniser).parameters(plan) == n_parameters(model)
    assert model_cost(model).parameters(current_plan(model)) == n_parameters(model)


def test_a_plan_for_one_layer_changes_only_that_layer(recogniser):
    plan = CompressionPlan.of_ranks({"encoder.weight_hh_l1_reverse": 3})
    model = factorize(recogniser, plan, decompose(recogniser))
    before, after = recogniser.state_dict(), model.state_dict()
    gone, new = set(before) - set(after), set(after) - set(before)
    assert gone == {"encoder.weight_hh_l1_reverse"}
    assert new == {"encoder.weight_hh_l1_reverse_up", "encoder.weight_hh_l1_reverse_down"}
    assert all(torch.equal(after[name], before[name]) for name in set(before) & set(after))
    assert current_plan(model) == plan


def test_the_input_of_surgery_is_left_alone_and_shares_no_memory(recogniser, batch):
    before = copy.deepcopy(recogniser.state_dict())
    model = factorize(recogniser, low_rank(recogniser), decompose(recogniser))
    for parameter in model.parameters():
        parameter.data.fill_(7.0)
    assert all(torch.equal(value, before[name]) for name, value in recogniser.state_dict().items())
    assert isinstance(recogniser.encoder, nn.LSTM)


def test_a_factorized_layer_keeps_mode_dtype_and_frozenness(recogniser):
    recogniser.encoder.weight_hh_l0.requires_grad_(False)
    model = factorize(recogniser.double(), low_rank(recogniser), decompose(recogniser))
    assert not model.encoder.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    assert not model.encoder.weight_hh_l0_up.requires_grad
    assert model.encoder.weight_ih_l0_up.requires_grad


def test_biases_and_dense_parameters_that_are_tied_across_modules_stay_tied(recogniser):
    recogniser.cell.bias_hh = recogniser.cell.bias_ih
    model = factorize(recogniser, CompressionPlan.of_ranks({"cell.weight_ih": 2}), decompose(recogniser))
    assert model.cell.bias_hh is model.cell.bias_ih


def test_a_factorized_model_can_be_factorized_again_and_keeps_what_is_not_named(recogniser):
    once = factorize(recogniser, low_rank(recogniser, 4), decompose(recogniser))
    twice = factorize(once, CompressionPlan.of_ranks({"query.weight": 2, "encoder.weight_ih_l0": 1}), decompose(once))
    expected = {**low_rank(recogniser, 4).ranks, "query.weight": 2, "encoder.weight_ih_l0": 1}
    assert current_plan(twice) == CompressionPlan.of_ranks(expected)
    assert torch.equal(twice.cell.weight_hh_up, once.cell.weight_hh_up)


def test_a_factorized_model_can_be_copied(recogniser, batch):
    model = factorize(recogniser, low_rank(recogniser), decompose(recogniser))
    assert torch.equal(copy.deepcopy(model)(*batch), model(*batch))


def test_a_model_that_is_one_layer_can_be_factorized():
    layer = nn.LSTM(4, 5)
    model = factorize(layer, CompressionPlan.of_ranks({"weight_ih_l0": 2}), decompose(layer))
    assert isinstance(model, FormLSTM)


def test_a_rank_above_the_current_one_is_refused(recogniser):
    once = factorize(recogniser, CompressionPlan.of_ranks({"query.weight": 4}), decompose(recogniser))
    with pytest.raises(RankError, match=r"rank 5 .*allowed: 1 to 4"):
        factorize(once, CompressionPlan.of_ranks({"query.weight": 5}), decompose(once))


@pytest.mark.parametrize(
    "choice", [Choice(bits=9), Choice(rank=2, bits=1), Choice(rank=2, identity=True, sparsity=0.5)]
)
def test_a_choice_that_no_form_holds_is_refused(recogniser, choice):
    plan = CompressionPlan({"query.weight": choice})
    with pytest.raises(
        PlanError, match=r"layer 'query.weight': no form of a weight holds the choice .*; known forms: dense, low_rank"
    ):
        factorize(recogniser, plan, decompose(recogniser))


@pytest.mark.parametrize("choice", [Choice(sparsity=0.7), Choice(rank=3, sparsity=0.5), Choice(bits=4, sparsity=0.5)])
def test_the_bias_gets_what_weights_that_are_left_out_gave_on_average(choice):
    torch.manual_seed(0)
    layer, inputs = nn.Linear(6, 5), torch.randn(200, 6) + torch.tensor([3.0, -2.0, 0.0, 1.0, 0.0, 5.0])
    plan = CompressionPlan({"weight": choice})
    small = factorize(layer, plan, decompose(layer, "pca", calibrate(layer, lambda: layer(inputs))))
    torch.testing.assert_close(small(inputs).mean(0), layer(inputs).mean(0), atol=1e-3, rtol=1e-3)
    without = factorize(layer, plan, decompose(layer))
    error = (small(inputs) - layer(inputs)).square().mean()
    assert error < (without(inputs) - layer(inputs)).square().mean()


def test_a_layer_that_nobody_decomposed_may_be_named_with_the_choice_that_it_has(recogniser):
    small = factorize(recogniser, low_rank(recogniser), decompose(recogniser))
    name = next(iter(low_rank(recogniser).ranks))
    others = {layer: found for layer, found in decompose(small).items() if layer != name}
    assert current_plan(factorize(small, low_rank(small, 1), others | decompose(recogniser))) == low_rank(small, 1)
    same = {layer: 1 if layer != name else 2 for layer in low_rank(small).ranks}
    assert current_plan(factorize(small, CompressionPlan.of_ranks(same), others)).ranks == same
    with pytest.raises(PlanError, match=f"no layer '{name}' in the decompositions"):
        factorize(small, low_rank(small, 1), others)


def test_layers_that_plans_have_in_common_are_made_once(recogniser, batch):
    decompositions, made = decompose(recogniser), {}
    names = [layer.name for layer in find_layers(recogniser)]
    plans = [
        CompressionPlan({name: Choice(rank=3, bits=5) for name in names}),
        CompressionPlan({name: Choice(rank=3, bits=5) for name in names[1:]}),
        CompressionPlan({**{name: Choice(rank=3, bits=5) for name in names[2:]}, names[0]: Choice(rank=2)}),
    ]
    parts = []
    for plan in plans:
        model = factorize(recogniser, plan, decompositions, made=made)
        alone = factorize(recogniser, plan, decompositions)
        assert all(torch.equal(*pair) for pair in zip(model.parameters(), alone.parameters(), strict=True))
        assert torch.equal(model(*batch), alone(*batch))
        assert {name: form.choice for name, form in made.items()} == dict(plan)
        parts.append({name: form.parts[0].data_ptr() for name, form in made.items()})
    kept = [names[1:], names[2:]]
    for before, after, common in zip(parts, parts[1:], kept, strict=False):
        assert all(before[name] == after[name] for name in common)
