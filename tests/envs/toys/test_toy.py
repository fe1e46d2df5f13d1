import pickle
from itertools import product

import pytest

from agents.strategies.baselines.greedy import greedy_plan
from envs.budget import Budget
from envs.toys import TOYS, coupled, separable


@pytest.mark.parametrize("toy", [separable(), coupled()], ids=["separable", "coupled"])
def test_dynamic_programming_finds_what_exhaustive_search_finds(toy):
    budget = Budget.of(toy.problem)
    everything = product(*(range(len(menu)) for menu in budget.weights))
    best = min(toy.evaluate(budget.plan(entries)) for entries in everything if budget.spent(entries) <= budget.limit)
    assert toy.evaluate(toy.best_plan()) == best


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "recogniser" else ()) for name in TOYS]
)
def test_the_best_plan_meets_the_budget_and_beats_the_greedy_one(name):
    toy = TOYS[name]()
    best = toy.best_plan()
    assert toy.problem.cost(best).parameters <= toy.problem.limit
    assert toy.evaluate(best) < toy.evaluate(greedy_plan(toy.problem))


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_travels_to_other_processes(name):
    toy = TOYS[name]()
    assert pickle.loads(pickle.dumps(toy)) == toy


@pytest.mark.parametrize("name", TOYS)
def test_the_dense_model_has_the_baseline_wer(name):
    toy = TOYS[name]()
    dense = Budget.of(toy.problem).plan([len(menu) - 1 for menu in Budget.of(toy.problem).weights])
    assert toy.evaluate(dense) == pytest.approx(toy.problem.baseline_wer)
