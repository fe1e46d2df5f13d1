"""Losses of many layers whose errors lie at random angles, and of one that loses more inside a plan."""

import numpy as np
import pytest

from agents.search.look.interplay import LEAST_TIMES, MOST, with_interplay
from agents.search.look.layer_losses import LayerLosses
from agents.search.look.recalled_losses import RecalledLosses
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan

N = 60
NAMES = [f"layer{i}" for i in range(N)]
PLAN = CompressionPlan.of_ranks(dict.fromkeys(NAMES, 2))
ALONE = dict(zip(NAMES, np.geomspace(0.001, 0.1, N).tolist(), strict=True))
CURVES = {name: (90.0 * loss, 10.0 * loss, loss) for name, loss in ALONE.items()} | {"whole": (3.0, 1.0)}  # by rank


class Table:
    """The divergence of the whole plan, and of the plan without one of its layers."""

    tells, tokens_per_utterance = True, 5.0

    def __init__(self, whole, inside):
        self.whole, self.inside = whole, inside

    def divergence(self, plan):
        (left_out,) = {*NAMES} - {*plan.ranks} or {None}
        return self.whole - (0.0 if left_out is None else self.inside[left_out])


def times_of(whole, inside):
    told = with_interplay(LayerLosses(CURVES, 5.0), PLAN, RecalledLosses(lambda: Table(whole, inside)))
    for name in NAMES:  # all of a layer's losses alike
        assert told.at(name, Choice(rank=1)) / CURVES[name][1] == pytest.approx(told.times[name])
    return told.times


def by_chance(whole, seed=0):
    """What layers lose inside where nothing but chance is added to what they lose alone."""
    noise = np.random.default_rng(seed).normal(0.0, 0.4, N)
    return {name: loss + z * (loss * whole) ** 0.5 for (name, loss), z in zip(ALONE.items(), noise, strict=True)}


def test_losses_that_add_up_stay_as_they_are():
    times = times_of(sum(ALONE.values()), ALONE)
    assert all(factor == pytest.approx(1.0) for factor in times.values())


def test_all_are_raised_alike_where_all_lose_more():
    times = times_of(3.0 * sum(ALONE.values()), {name: 3.0 * loss for name, loss in ALONE.items()})
    assert all(factor == pytest.approx(3.0) for factor in times.values())  # also of the layer that the plan leaves


@pytest.mark.parametrize("seed", range(5))
def test_chance_moves_no_layer_far_from_the_others(seed):
    inside = by_chance(whole := sum(ALONE.values()), seed)
    seeming = np.array([inside[name] / ALONE[name] for name in NAMES])
    assert seeming.min() < 0 < 5 < seeming.max()  # what was once taken for interplay
    times = np.array([times_of(whole, inside)[name] for name in NAMES])
    assert 0.5 < np.quantile(times, 0.25) < np.quantile(times, 0.75) < 2.0


def test_a_layer_that_loses_far_more_inside_is_found():
    whole = sum(ALONE.values()) + 1.0
    times = times_of(whole, by_chance(whole) | {NAMES[10]: 1.0 + ALONE[NAMES[10]]})
    assert times[NAMES[10]] == MOST
    assert np.median([times[name] for name in NAMES]) < 2.0


def test_no_loss_is_lowered_without_end():
    whole = sum(ALONE.values())
    times = times_of(whole, ALONE | {NAMES[-1]: -5.0})
    assert times[NAMES[-1]] == LEAST_TIMES


def test_a_plan_that_cuts_nothing_tells_nothing():
    losses = LayerLosses(CURVES, 5.0)
    table = Table(0.0, {})
    table.divergence = lambda plan: 0.0  # of any plan
    assert with_interplay(losses, CompressionPlan(), RecalledLosses(lambda: table)) == losses
    assert with_interplay(losses, PLAN, RecalledLosses(lambda: table)) == losses
