import pickle

import pytest

from shrinkml.errors import PlanError, RankError
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import LayerSpec


def test_break_even_rank_is_the_last_one_that_saves_parameters():
    layer = LayerSpec("mlp.up", "linear", out_features=32, in_features=64)
    per_rank = layer.parameters_per_rank
    assert layer.break_even_rank * per_rank <= layer.parameters < (layer.break_even_rank + 1) * per_rank


def test_factors_cost_rank_times_both_sides():
    assert LayerSpec("w", "linear", 30, 20).weights_at(4) == 4 * 30 + 4 * 20


def test_no_rank_means_dense():
    assert LayerSpec("w", "linear", 30, 20).weights_at(None) == 600


@pytest.mark.parametrize("rank", [0, 21])
def test_a_rank_outside_the_matrix_is_refused(rank):
    with pytest.raises(RankError, match=rf"rank {rank} for layer 'w'; allowed: 1 to 20"):
        LayerSpec("w", "linear", 30, 20).weights_at(rank)


def test_equal_plans_share_digest_and_hash_whatever_their_order():
    a, b = CompressionPlan.of_ranks({"x": 1, "y": 2}), CompressionPlan.of_ranks({"y": 2, "x": 1})
    assert (a, a.digest, hash(a)) == (b, b.digest, hash(b))


def test_different_plans_differ_in_digest():
    assert CompressionPlan.of_ranks({"x": 1}).digest != CompressionPlan.of_ranks({"x": 2}).digest


def test_a_plan_survives_json_and_pickle():
    plan = CompressionPlan.of_ranks({"x": 1, "y": 2})
    assert CompressionPlan.from_json(plan.to_json()) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_a_plan_does_not_change_when_its_source_does():
    ranks = {"x": 1}
    plan = CompressionPlan.of_ranks(ranks)
    ranks["x"] = 2
    assert plan.choice("x").rank == 1


@pytest.mark.parametrize("rank", [0, -1, 2.0, True, None])
def test_a_rank_that_is_no_positive_integer_is_refused(rank):
    with pytest.raises(RankError, match="allowed: an integer of 1 or more"):
        CompressionPlan.of_ranks({"x": rank})


def test_a_plan_from_something_else_is_refused():
    with pytest.raises(PlanError, match="not list"):
        CompressionPlan.from_json([1, 2])
