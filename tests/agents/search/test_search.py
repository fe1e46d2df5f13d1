import dataclasses

import pytest

from agents.search.search import Search
from envs.budget import Budget
from envs.rewards import REWARDS
from envs.toys import separable, telling
from shrinkml.errors import PlanError


def test_a_search_holds_the_budget_and_the_energies_of_its_problem(make_search):
    toy = separable()
    search = make_search(toy)
    assert search.budget == Budget.of(toy.problem)
    for row, decision in zip(search.energies, toy.problem.decisions, strict=True):
        assert row == tuple(option.retained_energy for option in decision.options)


def test_where_nothing_is_expected_an_option_loses_the_energy_that_it_does_not_keep(make_search):
    search = make_search(separable())
    for losses, energies in zip(search.losses, search.energies, strict=True):
        assert losses == pytest.approx([1.0 - kept for kept in energies])


def test_expected_losses_are_per_token(make_search):
    toy = separable()
    losses = make_search(telling(toy, tokens_per_utterance=8.0)).losses
    for row, per_utterance in zip(losses, toy.word_losses, strict=True):
        assert [8.0 * loss for loss in row] == pytest.approx(per_utterance)


def test_a_search_starts_from_no_policy_unless_one_is_given(make_search):
    search = make_search(separable())
    assert (search.policy, search.seed) == (None, 0)
    given = Search.of(search.problem, search.recorder, reward=REWARDS["budget_wall"], seed=3, policy={"a": [1.0]})
    assert (given.policy, given.seed) == ({"a": [1.0]}, 3)


def test_an_unreachable_budget_is_refused(make_search):
    search = make_search(separable())
    problem = dataclasses.replace(search.problem, compression_ratio=900.0)
    with pytest.raises(PlanError, match=r"no plan is 900x .*ask for less, or allow lower ranks"):
        Search.of(problem, search.recorder, reward=REWARDS["budget_wall"])
