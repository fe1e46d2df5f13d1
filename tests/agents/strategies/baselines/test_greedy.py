import numpy as np

from agents.strategies.baselines.greedy import greedy_plan
from envs.budget import Budget
from envs.toys import mixed, recogniser, separable
from envs.toys.rank_toys import recogniser_layers, spectra
from tests.agents.toy_search import search


def test_greedy_gives_more_to_layers_whose_energy_is_spread():
    problem = recogniser().problem
    budget = Budget.of(problem)
    entries = budget.entries(greedy_plan(problem))
    kept = {}
    for name, prices, entry in zip(budget.names, budget.weights, entries, strict=True):
        kept[name] = prices[entry] / prices[-1]
    found = spectra(recogniser_layers(3), np.random.default_rng(2))  # those of the toy
    flattest = min(kept, key=lambda name: found[name][0] ** 2 / sum(s * s for s in found[name]))
    steepest = max(kept, key=lambda name: found[name][0] ** 2 / sum(s * s for s in found[name]))
    assert kept[flattest] > kept[steepest]


def test_no_other_step_from_the_cheapest_plan_keeps_more_energy_per_price_than_its_first():
    problem = separable().problem
    budget, entries = Budget.of(problem), Budget.of(problem).entries(greedy_plan(problem))
    rates = {
        (i, entry): (row[entry] - row[0]) / (prices[entry] - prices[0])
        for i, (row, prices) in enumerate(zip(problem.retained_energies, budget.weights, strict=True))
        for entry in range(1, len(row))
    }
    layer, first = max(rates, key=rates.get)
    assert entries[layer] >= first


def test_it_judges_its_plan_alone():
    toy = mixed()
    assert [trial.plan for trial in search("greedy", toy).trials] == [greedy_plan(toy.problem)]
