"""What is measured of layers alone takes ranks off their menus, but none of a plan that could be the best."""

import dataclasses

import pytest

from agents.search.make_problem import HARMLESS, with_divergences
from agents.strategies import STRATEGIES
from envs.budget import Budget
from envs.toys import recogniser, separable
from tests.agents.toy_search import search, telling


def cut(toy):
    told = telling(toy).problem
    return told, with_divergences(toy.problem, told.divergences)


def n_ranks(menus):
    return sum(len(menu) for menu in menus.values())


def test_where_damages_add_up_a_search_of_what_is_left_reaches_the_best_plan_of_all():
    toy = separable()
    whole, problem = cut(toy)
    assert n_ranks(problem.menus) < n_ranks(whole.menus)
    best = search("divergence", dataclasses.replace(toy, problem=whole), evaluations=1).best.plan
    assert best == search("divergence", dataclasses.replace(toy, problem=problem), evaluations=1).best.plan
    assert toy.evaluate(best) == pytest.approx(toy.evaluate(toy.best_plan()))


@pytest.mark.parametrize("ratio", [1.1, 3.0, 20.0])
def test_ranks_are_on_a_menu_or_cut_and_the_budget_stays_within_reach(ratio):
    whole, problem = cut(recogniser(ratio))
    budget = Budget.of(problem)
    assert budget.spent(budget.cheapest) <= budget.limit
    for name, menu in whole.menus.items():
        assert {*problem.menus[name], *problem.cut[name]} == set(menu)
        assert problem.menus[name][-1] == menu[-1], "the layer as it is"
        assert not set(problem.menus[name]) & set(problem.cut[name])


def test_ranks_that_hardly_do_anything_stay_however_little_the_best_plan_does():
    toy = recogniser(1.01)
    told = {name: tuple(HARMLESS / (rank + 2) for rank in range(999)) for name in toy.problem.menus}
    assert with_divergences(toy.problem, told).menus == toy.problem.menus


def test_a_model_that_tells_no_scores_keeps_its_menus_whole():
    problem = recogniser().problem
    assert with_divergences(problem, {}) == problem


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_menus_of_one_entry_are_searched_too(strategy):
    toy = separable()
    told = dict.fromkeys(toy.problem.menus, (9.0,) * 99)
    problem = with_divergences(dataclasses.replace(toy.problem, compression_ratio=1.0), told)
    assert {len(menu) for menu in problem.menus.values()} == {1}
    (trial,) = search(strategy, dataclasses.replace(toy, problem=problem, damage=((0.0,),) * 6), evaluations=5).trials
    assert not trial.plan.ranks
