"""Toys that tell the expected losses of their options: what is expected is then what happens, but for couplings."""

import dataclasses

import pytest

from envs.toys import coupled, recogniser, separable
from shrinkml.errors import PlanError
from tests.agents.toy_search import search, telling


def test_one_evaluation_is_enough_where_losses_add_up():
    toy = telling(separable())
    assert search("divergence", toy, evaluations=1).best.wer == pytest.approx(toy.evaluate(toy.best_plan()))


def test_it_comes_nearer_to_the_best_plan_than_the_energy_does():
    for toy in (telling(coupled()), telling(recogniser())):
        assert search("divergence", toy, evaluations=1).best.wer < search("greedy", toy, evaluations=1).best.wer


@pytest.mark.usefixtures("evolving_little")
@pytest.mark.parametrize("name", ["surrogate", "ppo"])
def test_agents_start_from_it(name):
    toy = telling(recogniser())
    first = search(name, toy, evaluations=5).trials[0]
    assert first.plan == search("divergence", toy, evaluations=1).best.plan


@pytest.mark.usefixtures("evolving_little")
def test_the_surrogate_measures_no_layer_alone_that_it_was_told_of():
    toy = telling(recogniser())
    limit = toy.problem.limit
    measured = [
        [t for t in search("surrogate", each, evaluations=30).trials if t.parameters > limit]
        for each in (toy, recogniser())
    ]
    assert not measured[0]
    assert measured[1]


def test_a_layer_left_out_is_a_clear_error():
    toy = telling(separable())
    silent = separable().problem.decisions[2]
    decisions = (*toy.problem.decisions[:2], silent, *toy.problem.decisions[3:])
    with pytest.raises(PlanError, match="layer2"):
        dataclasses.replace(toy.problem, decisions=decisions)
