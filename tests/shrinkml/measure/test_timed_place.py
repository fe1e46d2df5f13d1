"""What a place costs is tested with the price list, in test_latency.py."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from shrinkml.compression.sites import WiredPairs, find_sites
from shrinkml.measure.timed_place import COLUMNS, UNITS, Place, first_columns, middle
from shrinkml.plan.layer_spec import Feed


@pytest.fixture
def place():
    """Of a stack of two layers, the first of which hears what units of another module feed."""
    module = nn.GRU(6, 8, num_layers=2)
    sites = find_sites(module)
    pairs = {f"weight_ih_l{layer}": f"weight_hh_l{layer}" for layer in (0, 1)}
    feeds = {
        "weight_ih_l0": (Feed("elsewhere", 0, 6, 4),),
        "weight_ih_l1": (Feed("weight_ih_l0", 0, 8, 3),),
        "output": (Feed("weight_ih_l1", 0, 8, 3),),
    }
    menus = {site.layer: (2, 4, None) for site in sites}
    return Place.of(module, sites, menus, dict.fromkeys(pairs, (2, 5)), WiredPairs(pairs, feeds))


def test_all_layers_of_a_stack_have_fewer_units_at_once(place):
    assert place.menus[UNITS] == (0, 1, None)
    narrow, columns = place.at(UNITS, 1)
    assert columns is None
    assert [tuple(narrow.get_parameter(name).shape) for name in ("weight_ih_l0", "weight_hh_l1", "weight_ih_l1")] == [
        (15, 6),
        (15, 5),
        (15, 5),
    ]
    assert narrow(torch.zeros(3, 1, 6))[0].shape == (3, 1, 5)
    whole, _ = place.at(UNITS, None)
    assert isinstance(whole, nn.GRU)


def test_half_of_the_columns_are_taken_away_that_others_feed(place):
    narrow, columns = place.at(COLUMNS, 0)
    assert columns == narrow.get_parameter("weight_ih_l0").shape[1] == 3
    assert narrow.get_parameter("weight_ih_l1").shape == (24, 8)
    (found,) = place.fed_columns({COLUMNS: {0: 1.0, None: 4.0}}, scale=8.0).values()
    assert found.per_weight == pytest.approx(8.0 * 3.0 / (24 * 3))


def test_a_rank_is_tried_beside_the_middle_of_other_menus(place):
    low, columns = place.at("weight_hh_l0", 2)
    assert columns is None
    assert low.choices["weight_hh_l0"].rank == 2
    assert low.choices["weight_ih_l1"].rank == middle((2, 4, None)) == 4


def test_the_first_columns_of_what_a_layer_takes_first():
    packed = pack_sequence([torch.arange(6.0).view(2, 3)])
    narrow, state = first_columns((packed, "state"), 2)
    assert narrow.data.tolist() == [[0.0, 1.0], [3.0, 4.0]]
    assert state == "state"
    assert first_columns((torch.ones(1, 3),), 2)[0].shape == (1, 2)
    assert first_columns((packed,), None) == (packed,)
