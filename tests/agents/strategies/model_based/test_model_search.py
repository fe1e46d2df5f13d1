import numpy as np
import pytest

from agents.strategies.baselines.greedy import greedy_plan
from agents.strategies.baselines.least_expected import least_expected
from agents.strategies.baselines.random import random_entries
from agents.strategies.baselines.uniform import uniform_plan
from agents.strategies.model_based import model_search
from agents.strategies.model_based.model_search import (
    APART,
    BOLDNESS,
    CHILDREN,
    GENERATIONS,
    MEASURED,
    MEASURED_PER_LAYER,
    ModelEvolution,
    search_in_model,
)
from agents.strategies.model_based.surrogate import RandomMutation
from envs.toys import recogniser, separable, telling


class Counted(RandomMutation):
    """Random mutations, of which is remembered how many there were and what they gained."""

    __slots__ = ()
    gains = []  # noqa: RUF012 - emptied by the fixture

    def learn_(self, gains):
        self.gains.append(gains)


@pytest.fixture
def gains(monkeypatch):
    monkeypatch.setattr(Counted, "gains", [])
    return Counted.gains


def lasts_of(search):
    return np.array([len(prices) - 1 for prices in search.budget.weights])


def searched(search):
    """The plans that are judged, in order."""
    search_in_model(search, lambda losses, rng: RandomMutation(lasts_of(search), rng))
    return [trial.plan for trial in search.recorder.result("", 0).trials]


def evolution_of(search, toy, mutation=RandomMutation):
    rng = np.random.default_rng(0)
    return ModelEvolution(search, toy.word_losses, mutation(lasts_of(search), rng), rng)


def judge_random_plans(search, n):
    rng = np.random.default_rng(3)
    for _ in range(n):
        search.recorder(search.budget.plan(random_entries(search.budget, rng)))


def test_where_losses_are_told_the_starts_come_first_and_no_layer_is_measured_alone(make_search):
    toy = telling(recogniser())
    search = make_search(toy, evaluations=6)
    plans = searched(search)
    least = search.budget.plan(least_expected(search.budget, toy.word_losses))
    assert plans[:3] == [least, greedy_plan(toy.problem), uniform_plan(toy.problem)]
    assert all(toy.problem.admits(plan) for plan in plans)


def test_where_they_are_not_a_share_of_the_evaluations_measures_layers_alone_after_the_cheap_plans(make_search):
    toy = recogniser()
    search = make_search(toy, evaluations=16)
    plans = searched(search)
    assert plans[:2] == [greedy_plan(toy.problem), uniform_plan(toy.problem)]
    n_measured = min(int(MEASURED * 14), MEASURED_PER_LAYER * 18)  # evaluations after the cheap plans; layers
    for plan in plans[2 : 2 + n_measured]:
        assert sum(a != b for a, b in zip(search.budget.entries(plan), lasts_of(search), strict=True)) == 1
    assert all(toy.problem.admits(plan) for plan in plans[2 + n_measured :])


def test_proposals_are_new_within_the_budget_and_apart(make_search):
    toy = recogniser()
    search = make_search(toy, evaluations=100)
    judge_random_plans(search, 20)
    known = {search.budget.entries(trial.plan) for trial in search.recorder.inside}
    proposals = evolution_of(search, toy).proposals()
    assert 2 <= len(proposals) <= len(BOLDNESS)
    assert not known & set(proposals)
    assert all(search.budget.spent(entries) <= search.budget.limit for entries in proposals)
    for i, entries in enumerate(proposals):
        for other in proposals[:i]:
            assert sum(a != b for a, b in zip(entries, other, strict=True)) >= APART


def test_the_first_proposal_is_better_than_all_that_was_judged_at_random(make_search):
    toy = recogniser()
    search = make_search(toy, evaluations=100)
    judge_random_plans(search, 20)
    first = evolution_of(search, toy).proposals()[0]
    assert toy.evaluate(search.budget.plan(first)) < search.recorder.best.wer


def test_when_nothing_is_new_it_proposes_one_mutation_of_the_best(make_search, monkeypatch):
    toy = separable()
    search = make_search(toy, evaluations=100)
    search.recorder(toy.best_plan())
    evolution = evolution_of(search, toy)
    monkeypatch.setattr(ModelEvolution, "_evolve", lambda self, model, parents, boldness: parents)  # all known
    (proposal,) = evolution.proposals()
    assert search.budget.spent(proposal) <= search.budget.limit


def test_a_mutation_learns_after_each_generation_what_its_children_gained(make_search, gains):
    toy = recogniser()
    search = make_search(toy, evaluations=100)
    judge_random_plans(search, 20)
    evolution_of(search, toy, Counted).proposals()
    assert [len(found) for found in gains] == [CHILDREN] * GENERATIONS * len(BOLDNESS)
    assert any((found > 0.0).any() for found in gains)


def test_the_model_is_fitted_to_the_best_plans_alone_where_there_are_many(make_search, monkeypatch):
    toy, fitted = recogniser(), []
    fit = model_search.SurrogateModel.fit
    monkeypatch.setattr(model_search, "MAX_FITTED", 5)
    monkeypatch.setattr(model_search.SurrogateModel, "fit", lambda *args: fitted.append(args) or fit(*args))
    search = make_search(toy, evaluations=100)
    judge_random_plans(search, 20)
    evolution_of(search, toy).proposals()
    ((_, judged, _),) = fitted
    best = sorted(search.recorder.inside, key=lambda trial: trial.wer)[:5]
    assert [tuple(row) for row in judged.tolist()] == [search.budget.entries(trial.plan) for trial in best]
