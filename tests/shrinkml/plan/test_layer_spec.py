import pytest

from shrinkml.errors import PlanError, RankError
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerSpec

LAYER = LayerSpec("a", "linear", out_features=30, in_features=20, calls_per_s=2.0)


def test_break_even_rank_is_the_last_one_that_saves_parameters():
    assert LAYER.break_even_rank * 50 <= 600 < (LAYER.break_even_rank + 1) * 50


def test_both_factors_of_a_rank_are_counted():
    assert LAYER.weights_at(3) == 3 * 30 + 3 * 20
    assert LAYER.weights_at(None) == LAYER.parameters == 600


@pytest.mark.parametrize("rank", [0, -1, 21])
def test_a_rank_that_the_matrix_cannot_have_is_refused(rank):
    with pytest.raises(RankError, match=f"rank {rank} for layer 'a'; allowed: 1 to 20"):
        LAYER.weights_at(rank)


def test_a_dense_layer_costs_its_weights_at_the_width_of_its_checkpoint():
    assert LAYER.cost_at(DENSE) == Cost(600, 2400, 1200.0)
    assert LayerSpec("a", "linear", 30, 20, bits=16).cost_at(DENSE) == Cost(600, 1200)


def test_a_rank_costs_both_factors_in_bytes_and_products_too():
    assert LAYER.cost_at(Choice(rank=3)) == Cost(150, 600, 300.0)


def test_bits_save_bytes_and_nothing_else():
    assert LAYER.cost_at(Choice(bits=4)) == Cost(600, 300 + 30, 1200.0), "a scale for each row"
    assert LAYER.cost_at(Choice(rank=3, bits=3)) == Cost(150, 57 + 6, 300.0), "whole bytes, and a scale a direction"
    assert LAYER.cost_at(Choice(bits=16)) == Cost(600, 1200, 1200.0), "which half precision needs none of"


def test_an_identity_block_saves_its_weights_and_never_costs_more_than_the_dense_matrix():
    assert LAYER.cost_at(Choice(rank=3, identity=True)) == Cost(3 * 47, 4 * 3 * 47 + 4, 2.0 * 3 * 47)
    costs = [LAYER.cost_at(Choice(rank=rank, identity=True)).parameters for rank in range(1, 21)]
    assert costs == sorted(costs)
    assert costs[-1] == 20 * 30 == LAYER.parameters


def test_zeros_that_are_left_out_cost_a_bit_and_are_multiplied_all_the_same():
    assert LAYER.cost_at(Choice(sparsity=0.75)) == Cost(150, 600 + 75, 1200.0)
    assert LAYER.cost_at(Choice(rank=4, bits=8, sparsity=0.5)) == Cost(100, 100 + 8 + 15 + 10, 400.0)


def test_cut_units_take_their_rows_or_columns_and_their_biases_along():
    layer = LayerSpec("a", "linear", 30, 20, 2.0, biases=30)
    assert layer.cost_at(Choice(outputs=10)) == Cost(10 * 20 - 20, 4 * (10 * 20 - 20), 2.0 * 10 * 20)
    assert layer.cost_at(Choice(inputs=5)) == Cost(30 * 5, 4 * 30 * 5, 2.0 * 30 * 5)
    assert layer.cost_at(DENSE) == Cost(600, 2400, 1200.0)


@pytest.mark.parametrize("choice", [Choice(outputs=31), Choice(inputs=21)])
def test_no_more_units_are_left_than_there_are(choice):
    with pytest.raises(PlanError, match=r"units \[\d+, \d+\] are left of a matrix \[30, 20\]; allowed: no more than"):
        LAYER.cost_at(choice)
