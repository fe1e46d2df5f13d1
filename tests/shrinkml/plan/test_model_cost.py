import pytest

from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost

COST = ModelCost((LayerSpec("a", "linear", 10, 20, 5.0), LayerSpec("b", "linear", 30, 10, 2.0)), other=Cost(7, 28))


def test_the_dense_model_has_all_its_weights():
    assert COST.dense_parameters == 200 + 300 + 7


def test_a_plan_replaces_only_the_layers_that_it_names():
    assert COST.parameters(CompressionPlan.of_ranks({"a": 2})) == 2 * 30 + 300 + 7


def test_macs_count_every_call_of_every_factor():
    assert COST.macs_per_s(CompressionPlan.of_ranks({"a": 2})) == 5.0 * 60 + 2.0 * 300


def test_a_compression_ratio_is_original_over_compressed_parameters():
    assert COST.compression_ratio(CompressionPlan.of_ranks({"a": 2, "b": 3})) == 507 / (2 * 30 + 3 * 40 + 7)


def test_a_plan_for_another_model_is_refused():
    with pytest.raises(PlanError, match="layers that the model lacks: c"):
        COST.parameters(CompressionPlan.of_ranks({"c": 1}))


def test_a_model_without_factorizable_layers_is_refused():
    with pytest.raises(PlanError, match="no factorizable layer"):
        ModelCost((), Cost(7, 28))


def test_the_cost_of_a_plan_is_that_of_its_layers_and_of_everything_else():
    plan = CompressionPlan({"a": Choice(rank=2, bits=8)})  # a scale for each direction of both factors
    assert COST.cost(plan) == Cost(60, 60 + 4, 300.0) + Cost(300, 1200, 600.0) + Cost(7, 28)
