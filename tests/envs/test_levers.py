from dataclasses import replace

import pytest

from envs.levers import BITS, LEVERS, SPARSITIES, cheaper_choices, price_with_follower, pulled
from envs.menus import build_menus, unit_menu
from shrinkml.errors import PlanError
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.gains import DROP, GAINS, LEVER_WORDS
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import byte_prices
from shrinkml.weights.forms import form_of

LAYER = LayerSpec("layer", "linear", 64, 96)
PRESENT = Choice(rank=16, bits=5)


def test_whatever_saves_a_resource_is_a_lever_that_is_described():
    named = {name for names in GAINS.values() for name in names}
    assert named == {*LEVERS, DROP} == set(LEVER_WORDS), "modules are dropped, not matrices"


def test_a_lever_is_one_row_of_what_makes_its_choices(monkeypatch):
    def halved(layer, choice):
        yield replace(choice, rank=layer.max_rank // 2)

    monkeypatch.setitem(LEVERS, "halved", halved)
    half = Choice(rank=LAYER.max_rank // 2)
    assert pulled(LAYER, DENSE, ("halved",)) == (half, DENSE)
    prices = byte_prices(ModelCost((LAYER,), Cost(0, 0)), original=10**6)
    assert {half, replace(half, bits=4)} < {
        *cheaper_choices([LAYER], CompressionPlan(), ("halved", "bits"), prices)["layer"]
    }


def test_the_lever_of_ranks_makes_the_menu_that_a_search_for_ranks_has():
    menu = build_menus([LAYER], current_ranks=CompressionPlan())["layer"]
    assert pulled(LAYER, DENSE, ("rank",)) == tuple(Choice(rank=rank) for rank in menu)


def test_an_identity_block_goes_beyond_the_break_even_of_two_whole_factors():
    ranks = [choice.rank for choice in pulled(LAYER, DENSE, ("identity",))[:-1]]
    assert LAYER.break_even_rank < max(ranks) < 64
    assert all(choice.identity for choice in pulled(LAYER, DENSE, ("identity",))[:-1])


def test_levers_together_make_every_combination():
    alone = {name: len(pulled(LAYER, DENSE, (name,))) for name in ("rank", "bits", "sparsity")}
    assert (alone["bits"], alone["sparsity"]) == (1 + len(BITS), 1 + len(SPARSITIES))
    both = pulled(LAYER, DENSE, tuple(alone))
    assert len(both) == len(set(both)) == alone["rank"] * alone["bits"] * alone["sparsity"]
    every = pulled(LAYER, DENSE, tuple(LEVERS))
    assert {*both} < {*every}
    assert every[-1] == DENSE


def test_what_is_small_already_only_becomes_smaller():
    choices = pulled(LAYER, PRESENT, tuple(LEVERS))
    assert choices[-1] == PRESENT
    assert {choice.bits for choice in choices} == {5, 4, 3}
    assert max(choice.rank for choice in choices) == 16


def test_no_choice_has_an_identity_block_and_zeros():
    for present in (DENSE, Choice(rank=16, identity=True), Choice(rank=16, sparsity=0.6), Choice(sparsity=0.6)):
        choices = pulled(LAYER, present, tuple(LEVERS))
        assert not any(choice.identity and choice.sparsity for choice in choices)
        assert min(choice.sparsity for choice in choices) == present.sparsity
        assert all(form_of(choice) for choice in choices)


def test_choices_ascend_in_price_below_the_present_one_and_left_layers_keep_it():
    layers = (LAYER, LayerSpec("left", "linear", 64, 96), LayerSpec("small", "linear", 64, 96))
    prices = byte_prices(ModelCost(layers, Cost(0, 0)), 10**6)
    present = CompressionPlan({"small": PRESENT})
    found = cheaper_choices(layers, present, tuple(LEVERS), prices, left=("left",))
    for layer in layers:
        of_layer = [prices.sites[layer.name].at(choice) for choice in found[layer.name]]
        assert of_layer == sorted(of_layer)
        assert of_layer[-2:-1] < of_layer[-1:]
        assert found[layer.name][-1] == present.choice(layer.name)
    assert found["left"] == (DENSE,)


def test_a_plan_of_another_model_is_refused():
    with pytest.raises(PlanError, match="current ranks of layers that the model lacks: elsewhere"):
        cheaper_choices(
            (LAYER,), CompressionPlan({"elsewhere": PRESENT}), (), byte_prices(ModelCost((LAYER,), Cost(0, 0)), 1)
        )


class TestUnits:
    FIRST = LayerSpec("first", "linear", 96, 64, biases=96, follower="second")
    SECOND = LayerSpec("second", "linear", 64, 96, biases=64)

    @staticmethod
    def choices(levers, present=None, left=()):
        cost = ModelCost((TestUnits.FIRST, LAYER, TestUnits.SECOND), Cost(0, 0))
        prices = byte_prices(cost, 10**6)
        return cheaper_choices(cost.layers, CompressionPlan(present or {}), levers, prices, left=left), prices

    def test_only_a_layer_with_a_follower_has_them_and_the_follower_follows(self):
        found, _ = self.choices(("units",))
        assert found["layer"] == (DENSE,)
        assert found["first"] == (*(Choice(outputs=left) for left in unit_menu(96)), DENSE)
        assert found["second"] == tuple(choice.following for choice in found["first"])

    def test_a_pair_has_neither_ranks_nor_zeros_and_rounds_both_of_its_matrices(self):
        found, _ = self.choices(tuple(LEVERS))
        assert {choice.rank for choice in found["layer"]} > {None, 8}
        assert {choice.bits for choice in found["first"]} == {None, *BITS}
        assert all(choice in (Choice(outputs=choice.outputs, bits=choice.bits),) for choice in found["first"])
        assert all(form_of(choice) for choice in (*found["first"], *found["second"]))

    def test_they_ascend_in_the_price_of_both(self):
        found, prices = self.choices(("units", "bits"))
        both = zip(found["first"], found["second"], strict=True)
        spent = [prices.sites["first"].at(one) + prices.sites["second"].at(other) for one, other in both]
        assert spent == sorted(spent)
        assert spent == [price_with_follower(self.FIRST, prices, choice) for choice in found["first"]]

    def test_a_narrower_pair_becomes_narrower_still(self):
        present = Choice(outputs=24)
        found, _ = self.choices(("units",), {"first": present, "second": present.following})
        assert [choice.outputs for choice in found["first"]] == [*unit_menu(24), 24]

    def test_of_what_is_narrower_and_in_no_pair_now_bits_alone_are_chosen(self):
        choices = pulled(LAYER, Choice(outputs=24), tuple(LEVERS))
        assert {choice.outputs for choice in choices} == {24}
        assert [choice.bits for choice in choices] == [*BITS, None]

    def test_a_menu_of_units_is_short_ascending_and_in_multiples_of_what_kernels_like(self):
        menu = unit_menu(1536)
        assert menu == tuple(sorted(menu))
        assert 15 < len(menu) < 25
        assert max(menu) < 1536
        assert all(left % 8 == 0 for left in menu if left >= 32)
        assert unit_menu(1) == ()
