from shrinkml.plan.branch_spec import BranchSpec
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import PriceList, byte_prices, mac_prices, parameter_prices
from shrinkml.plan.site_prices import LEAST

DROPPED = Choice(dropped=True, removes=("norm",), returns=2)
LAYERS = LayerSpec("a", "linear", 10, 20, 5.0), LayerSpec("b", "linear", 30, 10, 2.0)
COST = ModelCost(LAYERS, Cost(7, 28), (BranchSpec("block", DROPPED, ("a",), Cost(4, 16)),))
WITHOUT = CompressionPlan({"block": DROPPED, "a": Choice(rank=1)})


def test_without_a_branch_its_layers_and_all_else_in_it_cost_nothing():
    assert COST.cost(CompressionPlan()) == Cost(200 + 300 + 7 + 4, 800 + 1200 + 28 + 16, 1000.0 + 600.0)
    assert COST.cost(WITHOUT) == Cost(300 + 7, 1200 + 28, 600.0)
    assert COST.parents == {"a": "block"}


def test_every_price_list_knows_that():
    for prices, other in ((parameter_prices(COST), 7), (byte_prices(COST, 2044), 28), (mac_prices(COST), 0)):
        dense = prices.sites["b"].at(DENSE)
        assert prices.price(WITHOUT) == dense + other + LEAST
        assert prices.price(CompressionPlan()) == prices.original
        assert PriceList.from_json(prices.to_json()) == prices
