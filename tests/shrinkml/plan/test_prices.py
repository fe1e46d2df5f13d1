import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shrinkml.plan.choice import DENSE, DROPPED, Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import GroupTerm, PriceList, byte_prices, mac_prices, parameter_prices
from shrinkml.plan.site_prices import SitePrices

COST = ModelCost(
    (
        LayerSpec("often", "linear", 60, 40, 12.5),
        LayerSpec("seldom", "linear", 300, 100, 0.5),
        LayerSpec("looked_up", "embedding", 100, 20),
    ),
    other=Cost(7, 28),
)
ranks = st.fixed_dictionaries({layer.name: st.none() | st.integers(1, layer.max_rank) for layer in COST.layers})
MEASURED = SitePrices((2, 4, 8), (10, 30, 31), dense=25)


def plan_of(ranks):
    return CompressionPlan.of_ranks({name: rank for name, rank in ranks.items() if rank is not None})


@given(ranks)
def test_in_parameters_a_plan_costs_the_parameters_that_it_has(ranks):
    plan = plan_of(ranks)
    assert parameter_prices(COST).price(plan) == COST.parameters(plan)


@given(ranks)
def test_in_macs_a_plan_costs_the_macs_that_it_takes_to_within_one_per_layer(ranks):
    plan = plan_of(ranks)
    assert mac_prices(COST).price(plan) == pytest.approx(COST.macs_per_s(plan), abs=len(COST.layers))


def test_identity_blocks_and_cut_units_save_macs_and_bits_save_none():
    prices, layer = mac_prices(COST), next(layer for layer in COST.layers if layer.name == "often")
    dense, rank = prices.price(CompressionPlan()), layer.max_rank - 1
    at = {
        choice: prices.price(CompressionPlan({"often": choice}))
        for choice in (Choice(rank=rank, identity=True), Choice(outputs=layer.out_features // 2), Choice(bits=4))
    }
    identity, units, bits = at.values()
    saved = (layer.out_features - rank) * (layer.in_features - rank) * layer.calls_per_s
    assert dense - identity == pytest.approx(saved, abs=1)
    assert dense - units == pytest.approx(layer.parameters / 2 * layer.calls_per_s, abs=1)
    assert bits == dense


@given(ranks)
def test_in_bytes_a_plan_costs_the_bytes_that_it_has(ranks):
    plan = plan_of(ranks)
    assert byte_prices(COST, 10**6).price(plan) == COST.cost(plan).bytes


def test_a_list_of_bytes_knows_every_choice_and_survives_json():
    prices = byte_prices(COST, 10**6)
    plan = CompressionPlan({"often": Choice(rank=8, bits=4, identity=True), "seldom": Choice(bits=3)})
    again = PriceList.from_json(json.loads(json.dumps(prices.to_json())))
    assert again == prices
    assert again.price(plan) == COST.cost(plan).bytes
    assert again.ratio(plan) == 10**6 / COST.cost(plan).bytes


def test_factorizing_a_layer_without_calls_saves_no_macs():
    assert mac_prices(COST).price(CompressionPlan.of_ranks({"looked_up": 1})) == mac_prices(COST).price(
        CompressionPlan()
    )


def test_ratios_count_from_the_original_also_where_that_is_low_rank():
    original = CompressionPlan.of_ranks({"often": 10})
    for prices in (parameter_prices(COST, original), mac_prices(COST, original)):
        assert prices.ratio(original) == 1.0
        assert prices.ratio(CompressionPlan.of_ranks({"often": 5})) > 1.0 > prices.ratio(CompressionPlan())


def test_the_limit_is_met_exactly_when_the_ratio_is_reached():
    prices, plan = mac_prices(COST), CompressionPlan.of_ranks({"often": 3, "seldom": 5})
    assert prices.price(plan) <= prices.limit(prices.ratio(plan) * 0.999)
    assert prices.price(plan) > prices.limit(prices.ratio(plan) * 1.001)


def test_a_list_survives_json():
    prices = PriceList("latency", {"layer": MEASURED}, other=3, original=40)
    assert PriceList.from_json(json.loads(json.dumps(prices.to_json()))) == prices


MIXED = SitePrices((2, 8), (10, 40), dense=50, others={Choice(rank=8, bits=4): 6, DROPPED: 1})
TOGETHER = PriceList(
    "latency",
    {"a": MEASURED, "b": MIXED},
    other=3,
    original=100,
    terms=(GroupTerm({"a": (DENSE,), "b": (DENSE, DROPPED)}, -20), GroupTerm({"b": (Choice(rank=2),)}, 7)),
)


@pytest.mark.parametrize(
    ("plan", "price"),
    [
        (CompressionPlan(), 3 + 25 + 50 - 20),
        (CompressionPlan({"b": DROPPED}), 3 + 25 + 1 - 20),
        (CompressionPlan({"a": Choice(rank=2)}), 3 + 10 + 50),
        (CompressionPlan({"b": Choice(rank=2)}), 3 + 25 + 10 + 7),
    ],
    ids=str,
)
def test_a_term_counts_where_its_whole_group_makes_such_choices(plan, price):
    assert TOGETHER.price(plan) == price


def test_terms_and_prices_of_other_choices_survive_json():
    assert PriceList.from_json(json.loads(json.dumps(TOGETHER.to_json()))) == TOGETHER


def test_the_lists_of_older_jobs_are_read():
    old = {
        "resource": "macs",
        "layers": {"a": {"ranks": [2, 4, 8], "prices": [10, 30, 31], "dense": 25}},
        "other": 3,
        "original": 40,
    }
    assert PriceList.from_json(old) == PriceList("macs", {"a": MEASURED}, other=3, original=40)
