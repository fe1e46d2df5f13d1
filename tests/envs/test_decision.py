from dataclasses import replace
from itertools import pairwise

import pytest

from envs.decision import Decision, Option, front
from shrinkml.errors import PlanError
from shrinkml.plan.choice import DENSE, DROPPED, Choice
from shrinkml.plan.cost import NOTHING, Cost

RANKS = (1, 4, 8, 16, 32, None)


def option(choice, price, kept=0.5):
    return Option(choice, Cost(price, 4 * price), price, kept)


def decision(ranks, prices=None):
    options = (option(Choice(rank=r), p) for r, p in zip(ranks, prices or range(1, len(ranks) + 1), strict=True))
    return Decision("a", "linear", (8, 8), tuple(options))


def ranks_of(found):
    return tuple(choice.rank for choice in found.choices)


def told(*rows):
    """A decision of options of so many bits, that price and that expected loss; the last leaves it as it is."""
    options = [replace(option(Choice(bits=bits), price), expected_loss=loss) for bits, price, loss in rows]
    return Decision("a", "linear", (8, 8), (*options[:-1], replace(options[-1], choice=DENSE)))


def bits_of(found):
    return [choice.bits for choice in found.choices]


def test_on_the_front_are_options_that_lose_less_than_every_cheaper_one():
    rows = (2, 10, 0.9), (3, 20, 0.95), (4, 20, 0.5), (5, 30, 0.5), (6, 40, 0.1), (16, 100, 0.0)
    found = told(*rows).on_the_front(1.0)
    assert bits_of(found) == [2, 4, 6, None]
    assert found.left_out == ()


def test_neighbours_on_the_front_are_a_step_apart_and_the_better_ones_and_the_cheapest_stay():
    rows = [(2, 100, 0.9), (3, 105, 0.8), (4, 111, 0.7), (5, 117, 0.6), (6, 180, 0.5), (7, 199, 0.4), (16, 200, 0.0)]
    found = told(*rows).on_the_front(1.1)
    assert bits_of(found) == [2, 3, 5, 6, None]
    prices = [option.price for option in found.options]
    assert all(later >= 1.1 * earlier for earlier, later in pairwise(prices[1:]))


def test_where_no_loss_is_known_the_front_is_one_of_energies():
    options = (option(Choice(bits=3), 3, 0.7), option(Choice(rank=2), 4, 0.6), option(DENSE, 9, 1.0))
    assert Decision("a", "linear", (8, 8), options).on_the_front(1.0).choices == (Choice(bits=3), DENSE)


def test_a_decision_without_options_is_refused():
    with pytest.raises(PlanError, match="layer 'a' has no menu; a layer that stays as it is needs a menu of one entry"):
        decision(())


def test_options_that_do_not_ascend_in_price_are_refused():
    with pytest.raises(PlanError, match=r"the menu \[2, 4\] of layer 'a' must ascend in price, which is \[7, 5\]"):
        decision((2, 4), (7, 5))


def test_an_option_is_found_by_its_choice():
    assert [decision(RANKS).index(Choice(rank=rank)) for rank in RANKS] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(rank=9), "rank 9 of layer 'a' is not on its menu: rank 1, rank 4, "),
        (Choice(rank=4, bits=8), r"choice {'rank': 4, 'bits': 8} of layer 'a' is not on its menu"),
        (DROPPED, r"choice {'dropped': True} of layer 'a' is not on its menu"),
    ],
)
def test_a_choice_that_is_no_option_is_refused(choice, words):
    with pytest.raises(PlanError, match=words):
        decision(RANKS).index(choice)


@pytest.mark.parametrize(
    ("most", "ranks"), [(9.0, (1, 4, 16, None)), (1.0, (4, 16, None)), (0.2, (16, None)), (0.1, (None,))], ids=str
)
def test_options_that_lose_more_than_allowed_or_no_less_than_a_cheaper_one_are_left_out(most, ranks):
    losses = (9.0, 0.5, 0.5, 0.2, 0.2, 0.0)
    kept = decision(RANKS).without_losers(losses, most=most)
    assert ranks_of(kept) == ranks
    assert {option.choice.rank for option in kept.left_out} == set(RANKS) - set(ranks)
    assert kept.whole == decision(RANKS)


def test_where_nothing_is_lost_the_cheapest_option_and_the_place_as_it_is_stay():
    assert ranks_of(decision((2, 4, 8)).without_losers((0.0, 0.0, 0.0), most=0.0)) == (2, 8)


def test_the_front_holds_what_no_other_option_matches_at_its_price_or_less():
    good = [option(Choice(rank=1), 10, 0.2), option(Choice(rank=2, bits=4), 12, 0.5), option(DENSE, 40, 1.0)]
    beaten = [
        option(Choice(rank=2), 20, 0.4),  # dearer than four bits, and keeps less
        option(Choice(bits=1), 12, 0.3),  # as dear
        option(Choice(bits=8), 50, 1.0),  # dearer, and keeps no more
    ]
    assert front([*reversed(good), *beaten]) == tuple(good)


def test_a_module_may_be_dropped():
    keep_or_drop = Decision("block", "module", (8, 8), (Option(DROPPED, NOTHING, 1, 0.0), option(DENSE, 64, 1.0)))
    assert keep_or_drop.choices == (DROPPED, DENSE)
