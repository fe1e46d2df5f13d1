"""The choice at one matrix: what it may be, and its JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shrinkml.errors import PlanError, RankError
from shrinkml.plan.choice import DENSE, Choice

CHOICES = st.builds(
    Choice,
    rank=st.none() | st.integers(1, 512),
    bits=st.none() | st.sampled_from([4, 8]),
    sparsity=st.sampled_from([0.0, 0.5, 0.9]),
)


@given(CHOICES)
def test_a_choice_survives_its_json(choice):
    assert Choice.from_json(choice.to_json()) == choice


def test_a_rank_alone_is_written_as_the_bare_number_that_plans_always_had():
    assert Choice(rank=8).to_json() == 8
    assert Choice(rank=8, bits=4).to_json() == {"rank": 8, "bits": 4}
    assert Choice(rank=8, identity=True).to_json() == {"rank": 8, "identity": True}
    assert DENSE.to_json() == {}


@pytest.mark.parametrize("rank", [0, -1, True, 2.0, "8"])
def test_a_rank_is_a_positive_integer(rank):
    with pytest.raises(RankError, match="allowed: an integer of 1 or more"):
        Choice.from_json(rank)


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ({"bits": 0}, "an integer of 1 to 16"),
        ({"bits": 17}, "an integer of 1 to 16"),
        ({"bits": "4"}, "an integer of 1 to 16"),
        ({"identity": True}, "a rank, whose factor holds the identity block"),
        ({"rank": 2, "identity": 1}, "identity 1; allowed: true or false"),
        ({"sparsity": 1.0}, "at least 0 and below 1"),
        ({"sparsity": -0.1}, "at least 0 and below 1"),
        ({"sparsity": "half"}, "at least 0 and below 1"),
        ({"rang": 4}, "known: rank, bits, sparsity"),
        ({"removes": ["norm"]}, "removes of what is not dropped; allowed: dropped"),
        ({"dropped": True, "removes": "norm"}, "removes 'norm'; allowed: paths of modules"),
        ({"dropped": True, "removes": [3]}, "allowed: paths of modules"),
        ({"dropped": True, "returns": 0}, "returns 0; allowed: an integer of 1 or more"),
    ],
)
def test_what_no_choice_can_be_is_refused_with_what_is_allowed(value, allowed):
    with pytest.raises(PlanError, match=allowed):
        Choice.from_json(value)


def test_a_module_that_is_dropped_is_written_with_all_that_goes_with_it():
    choice = Choice(dropped=True, removes=("norm", "first"), returns=2)
    written = {"dropped": True, "removes": ["norm", "first"], "returns": 2}
    assert Choice.from_json(json.loads(json.dumps(choice.to_json()))) == choice == Choice.from_json(written)


class TestOfCutUnits:
    def test_the_one_that_follows_multiplies_as_many_in_as_many_bits(self):
        assert Choice(outputs=5, bits=8).following == Choice(inputs=5, bits=8)
        assert DENSE.following == DENSE

    def test_directions_are_a_rank_or_units(self):
        found = [it.directions for it in (DENSE, Choice(rank=3), Choice(outputs=4), Choice(inputs=4))]
        assert found == [None, 3, 4, None]

    def test_json_comes_back(self):
        choice = Choice(outputs=5, bits=8)
        assert choice.to_json() == {"bits": 8, "outputs": 5}
        assert Choice.from_json(choice.to_json()) == choice

    @pytest.mark.parametrize("side", ["outputs", "inputs"])
    @pytest.mark.parametrize("units", [0, -1, 2.0, True, "3"])
    def test_they_are_a_positive_integer(self, side, units):
        with pytest.raises(PlanError, match=rf"{side} .*; allowed: an integer of 1 or more"):
            Choice(**{side: units})

    @pytest.mark.parametrize("other", [{"rank": 2}, {"sparsity": 0.5}])
    def test_neither_a_rank_nor_zeros_are_chosen_beside_them(self, other):
        with pytest.raises(PlanError, match="cut units, and a rank or a sparsity; allowed beside cut units: bits"):
            Choice(outputs=3, **other)
