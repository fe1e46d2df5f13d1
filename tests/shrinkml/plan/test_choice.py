"""The choice at one matrix: what it may be, and its JSON."""

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
    ],
)
def test_what_no_choice_can_be_is_refused_with_what_is_allowed(value, allowed):
    with pytest.raises(PlanError, match=allowed):
        Choice.from_json(value)
