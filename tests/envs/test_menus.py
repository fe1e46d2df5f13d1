from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.menus import MENU_STEPS, build_menus, worthwhile
from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import PriceList, parameter_prices
from shrinkml.plan.site_prices import SitePrices

DENSE = CompressionPlan()
sides = st.integers(1, 600)


def menu_of(out, inp, current=None, **options):
    layer = LayerSpec("layer", "linear", out, inp)
    ranks = DENSE if current is None else CompressionPlan.of_ranks({"layer": current})
    return layer, build_menus([layer], current_ranks=ranks, **options)["layer"]


@given(sides, sides, st.integers(1, 16), st.sampled_from([1, 6, 8]))
@settings(deadline=None)
def test_a_dense_layers_menu_ascends_below_break_even_and_ends_dense(out, inp, steps, multiple_of):
    layer, menu = menu_of(out, inp, steps=steps, multiple_of=multiple_of)
    ranks = menu[:-1]
    assert menu[-1] is None
    assert list(ranks) == sorted(set(ranks))
    assert all(rank >= 1 and layer.weights_at(rank) < layer.parameters for rank in ranks)
    assert len(menu) <= steps


@given(sides, sides, st.data())
@settings(deadline=None)
def test_a_factorized_layer_keeps_its_rank_as_the_last_entry(out, inp, data):
    current = data.draw(st.integers(1, min(out, inp)))
    _, menu = menu_of(out, inp, current)
    assert menu[-1] == current
    assert list(menu) == sorted(set(menu))


def test_large_ranks_are_multiples_of_eight_and_small_ones_of_smaller_powers_of_two():
    _, menu = menu_of(1280, 320)
    assert all(rank % 8 == 0 for rank in menu[:-1] if rank >= 32)
    assert any(rank % 8 for rank in menu[:-1])


def test_neighbouring_ranks_differ_by_about_the_same_factor():
    _, menu = menu_of(1280, 320)
    factors = [b / a for a, b in pairwise(menu[:-1])]
    assert len(menu) == MENU_STEPS
    assert all(1.05 < factor < 1.6 for factor in factors)


def test_a_layer_of_one_row_has_nothing_to_save_and_stays_dense():
    assert menu_of(1, 64)[1] == (None,)


@pytest.mark.parametrize("units", [128, 320, 1024])
def test_the_cheapest_plan_of_an_lstm_stack_is_more_than_24_times_smaller(units):
    layers = [LayerSpec(f"{kind}", kind, 4 * units, units) for kind in ("lstm_input", "lstm_recurrent")]
    menus = build_menus(layers, current_ranks=DENSE)
    cost = ModelCost(tuple(layers), other=Cost(8 * units, 32 * units))
    assert cost.compression_ratio(CompressionPlan.of_ranks({name: menu[0] for name, menu in menus.items()})) > 24.0


def test_a_factorized_layer_can_become_four_times_smaller_again():
    _, menu = menu_of(1280, 320, current=8)
    assert menu[0] == 2


def test_ranks_of_unknown_layers_are_refused():
    with pytest.raises(PlanError, match="layers that the model lacks: elsewhere"):
        build_menus([LayerSpec("layer", "linear", 8, 8)], current_ranks=CompressionPlan.of_ranks({"elsewhere": 2}))


@pytest.mark.parametrize("choice", [Choice(bits=4), Choice(rank=2, bits=4), Choice(dropped=True)])
def test_a_menu_of_ranks_does_not_undo_another_choice(choice):
    with pytest.raises(PlanError, match=r"layer 'layer' has the choice .*allowed: a rank alone"):
        build_menus([LayerSpec("layer", "linear", 8, 8)], current_ranks=CompressionPlan({"layer": choice}))


@given(sides, sides)
@settings(deadline=None)
def test_counted_in_parameters_every_entry_is_worth_its_price(out, inp):
    layer, menu = menu_of(out, inp)
    prices = parameter_prices(ModelCost((layer,), other=Cost(1, 4)))
    assert worthwhile({"layer": menu}, prices) == {"layer": menu}


@pytest.mark.parametrize(("dense", "menu"), [(9, (2, 8, None)), (7, (2, None)), (5, (None,)), (3, (None,))], ids=str)
def test_ranks_that_cost_as_much_as_a_higher_one_or_as_dense_leave_the_menu(dense, menu):
    prices = PriceList("latency", {"layer": SitePrices((2, 4, 8), (5, 8, 8), dense)}, other=0, original=dense)
    assert worthwhile({"layer": (2, 4, 8, None)}, prices) == {"layer": menu}
