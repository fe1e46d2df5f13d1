"""Losses by hand: two layers that lose more together than alone, and one that the plan leaves."""

import pytest

from agents.search.look.interplay import LEAST_TIMES, MOST, with_interplay
from agents.search.look.layer_losses import LayerLosses
from agents.search.look.recalled_losses import RecalledLosses
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan

ALONE = {"a": (9.0, 1.0, 0.1), "b": (9.0, 2.0, 0.2), "c": (9.0, 3.0, 0.3)}  # at rank 0, 1 and 2
PLAN = CompressionPlan.of_ranks({"a": 2, "b": 2})


class Table:
    """Scores that are known for each plan."""

    tells, tokens_per_utterance = True, 5.0

    def __init__(self, losses):
        self.losses = losses

    def divergence(self, plan):
        return self.losses[tuple(plan.ranks)]


def raised(whole, without_a, without_b):
    table = Table({("a", "b"): whole, ("b",): without_a, ("a",): without_b})
    losses = with_interplay(LayerLosses(ALONE, 5.0), PLAN, RecalledLosses(lambda: table))
    return {name: (losses.at(name, Choice(rank=1)), losses.at(name, Choice(rank=2))) for name in ALONE}


def test_a_curve_is_raised_by_what_its_layer_loses_inside_the_plan():
    curves = raised(whole=1.0, without_a=0.8, without_b=0.2)
    assert curves["a"] == pytest.approx((2.0, 0.2))  # 0.2 inside, 0.1 alone
    assert curves["b"] == pytest.approx((8.0, 0.8))  # 0.8 inside, 0.2 alone
    assert curves["c"] == pytest.approx((9.0, 0.9))  # the median of 2 and 4


def test_losses_that_add_up_stay_as_they_are():
    curves = raised(whole=0.3, without_a=0.2, without_b=0.1)
    assert all(curves[name] == pytest.approx(ALONE[name][1:]) for name in ALONE)


def test_no_curve_is_raised_or_lowered_without_end():
    curves = raised(whole=9.0, without_a=0.0, without_b=9.0)
    assert curves["a"] == pytest.approx((MOST, 0.1 * MOST))
    assert curves["b"] == pytest.approx((2.0 * LEAST_TIMES, 0.2 * LEAST_TIMES))


def test_a_plan_that_cuts_nothing_tells_nothing():
    table = Table({(): 0.0})
    losses = LayerLosses(ALONE, 5.0)
    assert with_interplay(losses, CompressionPlan(), RecalledLosses(lambda: table)) == losses
