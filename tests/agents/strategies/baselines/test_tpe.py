from statistics import mean

from envs.budget import Budget
from envs.toys import recogniser
from tests.agents.toy_search import search


def test_its_proposals_use_the_budget():
    toy = recogniser()
    budget = Budget.of(toy.problem)
    for trial in search("tpe", toy, evaluations=15).trials:
        entries = budget.entries(trial.plan)
        left = budget.limit - budget.spent(entries)
        nexts = [
            prices[entry + 1] - prices[entry]
            for prices, entry in zip(budget.weights, entries, strict=True)
            if entry + 1 < len(prices)
        ]
        assert 0 <= left < min(nexts)


def test_what_it_proposes_late_resembles_the_better_plans_more_than_chance_does():
    toy = recogniser()
    late = [trial.wer for trial in search("tpe", toy, evaluations=40).trials[-15:]]
    by_chance = [trial.wer for trial in search("random", toy, evaluations=40).trials]
    assert mean(late) < mean(by_chance)
