import json
from dataclasses import replace
from typing import ClassVar

import pytest

from shrinkml.errors import PlanError, RankError
from shrinkml.plan.choice import DENSE, DROPPED, Choice
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.site_prices import LEAST, CountedPrices, FedColumns, SitePrices, prices_from_json

LAYER = LayerSpec("a", "linear", 60, 40, 12.5)
BYTES, PARAMETERS = CountedPrices(LAYER, "bytes"), CountedPrices(LAYER, "parameters")
MEASURED = SitePrices((2, 4, 8), (10, 30, 31), dense=25)
MIXED = SitePrices((2, 8), (10, 40), dense=50, others={Choice(rank=8, bits=4): 6, DROPPED: 1})


@pytest.mark.parametrize(("rank", "price"), [(1, 10), (2, 10), (3, 20), (4, 30), (6, 30), (8, 31), (9, 31), (None, 25)])
def test_prices_are_interpolated_between_ranks_and_flat_beyond_them(rank, price):
    assert MEASURED.at(Choice(rank=rank)) == price


def test_choices_of_bits_or_of_nothing_at_all_have_prices_of_their_own():
    assert [MIXED.at(choice) for choice in (Choice(rank=8), Choice(rank=8, bits=4), DROPPED)] == [40, 6, 1]


def test_a_choice_without_a_price_is_refused():
    with pytest.raises(PlanError, match=r"no price for the choice {'rank': 8, 'bits': 2}; allowed: a rank, dense, or"):
        MIXED.at(Choice(rank=8, bits=2))


def test_bytes_and_parameters_are_counted_for_any_choice():
    for choice in (DENSE, Choice(rank=3), Choice(rank=3, bits=4, identity=True), Choice(bits=8)):
        assert BYTES.at(choice) == LAYER.cost_at(choice).bytes
        assert PARAMETERS.at(choice) == LAYER.cost_at(choice).parameters
    assert (BYTES.dense, PARAMETERS.dense) == (4 * 2400, 2400)
    assert PARAMETERS.at(Choice(rank=3, identity=True)) == 3 * (60 + 40 - 3)
    assert BYTES.at(DROPPED) == PARAMETERS.at(DROPPED) == LEAST


def test_a_rank_that_the_matrix_cannot_have_has_no_bytes():
    with pytest.raises(RankError, match="rank 41 for layer 'a'"):
        BYTES.at(Choice(rank=41))


@pytest.mark.parametrize("prices", [MEASURED, MIXED, BYTES], ids=["ranks", "others", "bytes"])
def test_prices_survive_json(prices):
    assert prices_from_json(json.loads(json.dumps(prices.to_json()))) == prices


class TestColumnsThatOthersCut:
    LAYER = LayerSpec("ih", "lstm_input", 40, 20, gates=4)
    OTHERS: ClassVar = {Choice(outputs=20): 300}

    def test_save_what_each_of_their_weights_takes(self):
        prices = SitePrices((5,), (200,), 500, self.OTHERS, FedColumns(self.LAYER, 0.5))
        assert prices.at(Choice(inputs=16)) == 500 - 0.5 * 4 * 40
        assert prices.at(Choice(rank=5, inputs=16)) == 200 - 0.5 * 4 * 5
        assert prices.at(Choice(outputs=20, inputs=16)) == 300 - 0.5 * 4 * 20
        assert prices.at(Choice(outputs=20, inputs=1)) == 300 - int(0.5 * 19 * 20)
        assert prices_from_json(json.loads(json.dumps(prices.to_json()))) == prices

    def test_that_are_cut_already_save_nothing_more(self):
        prices = SitePrices((5,), (200,), 500, self.OTHERS, FedColumns(self.LAYER, 0.5, present=16))
        assert prices.at(Choice(inputs=16)) == 500
        assert prices.at(Choice(rank=5, inputs=14)) == 200 - 0.5 * 2 * 5

    def test_save_nothing_where_that_is_not_known(self):
        prices = SitePrices((5,), (200,), 500, self.OTHERS)
        choices = Choice(), Choice(rank=5), Choice(outputs=20)
        assert [prices.at(replace(it, inputs=16)) for it in choices] == [500, 200, 300]
        with pytest.raises(PlanError, match=r"no price for the choice .*'inputs': 16"):
            prices.at(Choice(bits=4, inputs=16))
