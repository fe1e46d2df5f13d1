import pytest

from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.gains import DROP, UNASKED
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import byte_prices

LAYERS = (LayerSpec("a", "linear", 64, 96, bits=16), LayerSpec("b", "linear", 32, 48, bits=16))
COST = ModelCost(LAYERS, Cost(10, 20))


@pytest.mark.parametrize("ranks", [{}, {"a": 8}, {"a": 3, "b": 30}])
def test_ranks_that_will_be_rounded_cost_what_the_rounded_plan_takes(bench, ranks):
    plan, prices = CompressionPlan.of_ranks(ranks), byte_prices(COST, 10**6)
    assert bench.as_rounded(prices, LAYERS).price(plan) == COST.cost(bench.rounded(plan, LAYERS)).bytes


def test_every_matrix_is_rounded(bench):
    plan = bench.rounded(CompressionPlan.of_ranks({"a": 8}), LAYERS)
    assert dict(plan) == {"a": Choice(rank=8, bits=8), "b": Choice(bits=8)}


def test_the_joint_recipe_pulls_what_a_job_pulls_unasked_and_others_drop_modules_too(bench):
    joint = set(bench.RECIPES["joint"].levers)
    assert joint == set(UNASKED["bytes"])
    assert set(bench.RECIPES["joint and dropping"].levers) == {*joint, DROP}


def row(recipe, seed, **figures):
    return {"model": "m", "ratio": 8.0, "recipe": recipe, "seed": seed, **figures}


ROWS = [
    row("joint", 1, dev_wer=0.02, test_wer=0.03, file_bytes=1000),
    row("joint", 2, dev_wer=0.04, test_wer=0.05, file_bytes=1001),
    row("bits", 1, refused="the goal of 8x is out of reach"),
]


def test_a_line_tells_the_median_and_each_seed_or_that_a_size_is_out_of_reach(bench):
    lines = bench.table(ROWS).splitlines()[2:]
    assert lines == [
        "| m | 8x | joint | 2 | 3.00 (2.00, 4.00) | 4.00 (3.00, 5.00) | 1,001 |",
        "| m | 8x | bits | 1 | out of reach |  |  |",
    ]


def test_the_picture_draws_recipes_that_reach_the_size(bench):
    page = bench.picture(ROWS)
    assert "times fewer bytes than float32" in page
    assert page.count("joint") >= 1
