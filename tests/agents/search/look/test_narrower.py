"""The problem of `tests.envs.wired`, its layers told what they lose by rules."""

from dataclasses import replace

import numpy as np
import pytest

from agents.search.look.layer_losses import LayerLosses
from agents.search.look.narrower import Posed, units_where_better
from agents.search.make_problem import with_units_of
from envs.levers import cheaper_choices
from envs.rank_options import site_problem
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.model_cost import ModelCost
from tests.envs.wired import COST, PRICES, wired_problem

LEADERS = {"first.ih", "second.ih"}
WORST = 1.0  # nats per token of a layer of which nothing is left


def whole_problem(ratio=4.0):
    layers = tuple(replace(layer, follower=None) for layer in COST.layers)
    return site_problem(
        ModelCost(layers, COST.other),
        choices=cheaper_choices(layers, CompressionPlan(), ("rank",), PRICES["parameters"]),
        prices=PRICES["parameters"],
        compression_ratio=ratio,
        spectra={layer.name: [1.0] * layer.max_rank for layer in layers},
        baseline_wer=0.1,
    )


def posed(problem, steepness):
    """Layers lose the more the less of them is left, those in `steepness` so many times as much."""
    curves = {
        it.name: tuple(steepness.get(it.name, 1.0) * WORST * (1.0 - np.linspace(0, 1, it.shape[0] + 1)) ** 2)
        for it in problem.decisions
    }
    return Posed(problem, LayerLosses(curves, 1.0))


@pytest.mark.parametrize("better", [set(), {"first.ih"}, {"second.ih"}, LEADERS], ids=sorted)
def test_units_are_cut_where_that_is_expected_to_lose_less(better):
    whole = posed(whole_problem(), {})
    narrower = posed(wired_problem(ratio=4.0), {name: 0.01 if name in better else 100.0 for name in LEADERS})
    found = units_where_better(whole, narrower)
    assert {it.name for it in found.problem.decisions if it.follower} == better
    assert found.least <= min(whole.least, narrower.least)
    assert found.problem == with_units_of(whole.problem, narrower.problem, better)
    assert len(found.problem.decisions) == 5 - len(better)


def test_units_reach_what_ranks_do_not():
    whole, narrower = posed(whole_problem(30.0), {}), posed(wired_problem(ratio=30.0), {})
    assert whole.least == float("inf") > narrower.least
    assert {it.follower for it in units_where_better(whole, narrower).problem.decisions} > {None}
