"""What `make bench-racing` counts."""

import pytest

from shrinkml.plan.compression_plan import CompressionPlan

WORDS = [[4] * 8] * 3
PLANS = [CompressionPlan.of_ranks({"encoder": rank}) for rank in range(1, 5)]


def parts(*errors):
    """As many errors in every other utterance of each part."""
    return [(n, 0) * 4 for n in errors]


def test_a_plan_that_would_have_won_is_a_false_stop_and_one_that_would_not_is_none(bench):
    # The second is hopeless; the third wins after a bad start; the fourth wins and is heard whole.
    judged = dict(zip(PLANS, [parts(1, 1, 1), parts(4, 4, 4), parts(2, 0, 0), parts(0, 0, 0)], strict=True))
    row = bench.raced(judged, WORDS, 0.1)
    assert (row["plans"], row["stopped"], row["false_stops"]) == (4, 2, 1)
    assert row["heard"] == pytest.approx((1 + 1 / 3 + 1 / 3 + 1) / 4)
    assert bench.raced(judged, WORDS, 1e-9)["false_stops"] == 0


def test_ties_are_raced_with_the_parts_in_any_order(bench):
    tie = dict(zip(PLANS, [parts(1, 1, 1), parts(3, 0, 0)], strict=False))
    # Given up where its rival's bad part does not come first.
    assert bench.false_stops_of_ties(tie, WORDS, 0.3) == pytest.approx(2 / 3)
    assert bench.false_stops_of_ties(tie, WORDS, 1e-13) == 0.0
    apart = dict(zip(PLANS, [parts(1, 1, 1), parts(2, 2, 2)], strict=False))
    assert bench.false_stops_of_ties(apart, WORDS, 0.3) == 0.0
