"""Toys that tell the divergences of their layers: what is expected is then what happens, but for couplings."""

import dataclasses

import pytest

from agents.strategies import search_plans
from envs.budget import Budget
from envs.toys import coupled, recogniser, separable
from shrinkml.errors import PlanError


def telling(toy):
    """`toy`, its layers' damages told at every rank of their menus."""
    budget = Budget.of(toy.problem)
    told = {}
    for name, menu, damage in zip(budget.names, budget.menus, toy.damage, strict=True):
        ranks = [rank for rank in menu if rank is not None]
        told[name] = tuple(
            next((damage[entry] for entry, at in enumerate(ranks) if at >= rank), 0.0) for rank in range(ranks[-1] + 2)
        )
    return dataclasses.replace(toy, problem=dataclasses.replace(toy.problem, divergences=told))


def found_by(strategy, toy, evaluations=1):
    return search_plans(
        strategy,
        toy.problem,
        toy.evaluate,
        reward="budget_wall",
        evaluations=evaluations,
        seed=0,
        on_trial=lambda trial, n_done: None,
        should_stop=lambda: False,
    )


def test_one_evaluation_is_enough_where_damages_add_up():
    toy = telling(separable())
    assert found_by("divergence", toy).best.wer == pytest.approx(toy.evaluate(toy.best_plan()))


def test_it_comes_nearer_to_the_best_plan_than_the_energy_does():
    for toy in (telling(coupled()), telling(recogniser())):
        assert found_by("divergence", toy).best.wer < found_by("greedy", toy).best.wer


@pytest.mark.parametrize("name", ["surrogate", "ppo"])
def test_agents_start_from_it(name):
    toy = telling(recogniser())
    first = found_by(name, toy, evaluations=5).trials[0]
    assert first.plan == found_by("divergence", toy).best.plan


def test_the_surrogate_measures_no_layer_alone_that_it_was_told_of():
    toy = telling(recogniser())
    limit = toy.problem.limit
    measured = [
        [t for t in found_by("surrogate", each, 30).trials if t.parameters > limit] for each in (toy, recogniser())
    ]
    assert not measured[0]
    assert measured[1]


def test_a_layer_left_out_is_a_clear_error():
    toy = telling(separable())
    divergences = {name: row for name, row in toy.problem.divergences.items() if name != "layer2"}
    broken = dataclasses.replace(toy, problem=dataclasses.replace(toy.problem, divergences=divergences))
    with pytest.raises(PlanError, match="layer2"):
        found_by("divergence", broken)
