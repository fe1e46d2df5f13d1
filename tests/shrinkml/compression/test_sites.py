import pytest
import torch
from torch import nn

from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import current_plan, find_layers, model_cost
from shrinkml.errors import PlanError
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerSpec


def names(model):
    return [layer.name for layer in find_layers(model)]


def test_matrices_of_every_layer_and_direction_are_found_in_order_under_their_state_names(recogniser):
    lstm = [f"encoder.weight_{kind}_l{i}{way}" for i in (0, 1) for way in ("", "_reverse") for kind in ("ih", "hh")]
    assert names(recogniser) == [
        "front.weight",
        *lstm,
        "embedding.weight",
        "query.weight",
        "cell.weight_ih",
        "cell.weight_hh",
    ]
    assert set(names(recogniser)) <= set(recogniser.state_dict())


def test_a_layer_record_tells_kind_shape_and_calls(recogniser):
    layers = {layer.name: layer for layer in find_layers(recogniser, {"query.weight": 12.5})}
    assert layers["query.weight"] == LayerSpec("query.weight", "linear", 10, 16, 12.5)
    assert layers["cell.weight_ih"] == LayerSpec("cell.weight_ih", "lstm_input", 40, 10, biases=40, gates=4)
    assert layers["encoder.weight_hh_l1"] == LayerSpec(
        "encoder.weight_hh_l1", "lstm_recurrent", 32, 8, biases=32, gates=4
    )
    assert layers["embedding.weight"] == LayerSpec("embedding.weight", "embedding", 11, 10)


def test_a_factorized_model_reports_the_same_layers(recogniser):
    plan = CompressionPlan.of_ranks(
        {"encoder.weight_ih_l1_reverse": 3, "query.weight": 2, "embedding.weight": 4, "cell.weight_hh": 1}
    )
    model = factorize(recogniser, plan, decompose(recogniser))
    assert find_layers(model) == find_layers(recogniser)
    assert current_plan(model) == plan


def test_the_cost_counts_every_parameter_once(recogniser):
    cost = model_cost(recogniser)
    assert cost.dense_parameters == sum(parameter.numel() for parameter in recogniser.parameters())
    biases = 4 * 2 * 32 + 2 * 40 + 11
    assert cost.other == Cost(6 + biases, 4 * (6 + biases))


class Doubled(nn.Linear):
    """A subclass whose forward pass is its own affair."""


@pytest.mark.parametrize(
    "layer",
    [Doubled(4, 4), nn.LSTM(4, 6, proj_size=2), nn.Embedding(4, 4, max_norm=1.0), nn.Embedding(4, 4, sparse=True)],
    ids=["subclass", "projected LSTM", "embedding with a norm", "sparse embedding"],
)
def test_layers_that_surgery_cannot_replace_are_left_alone(layer):
    assert names(nn.Sequential(layer, nn.Linear(4, 4))) == ["1.weight"]


def test_a_weight_tied_to_something_that_cannot_be_factorized_is_left_alone():
    first, second = Doubled(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    assert names(nn.Sequential(first, second, nn.Linear(4, 4))) == ["2.weight"]


def test_a_module_that_stands_in_two_places_is_one_layer():
    linear = nn.Linear(4, 4)
    model = nn.Sequential(linear, nn.ReLU(), linear)
    assert names(model) == ["0.weight"]
    shrunk = factorize(model, CompressionPlan.of_ranks({"0.weight": 2}), decompose(model))
    assert shrunk[0] is shrunk[2]
    assert model_cost(shrunk).parameters(current_plan(shrunk)) == sum(p.numel() for p in shrunk.parameters())


def test_a_model_without_layers_has_no_cost():
    with pytest.raises(PlanError, match="no factorizable layer"):
        model_cost(nn.Sequential(nn.ReLU(), nn.LayerNorm(3)))


def test_a_plain_tensor_parameter_is_counted_among_the_others():
    model = nn.Sequential(nn.Linear(3, 2))
    model.scale = nn.Parameter(torch.ones(7))
    assert model_cost(model).other == Cost(9, 36)
