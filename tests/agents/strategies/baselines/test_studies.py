import optuna
import pytest
from optuna.samplers import RandomSampler

from agents.strategies.baselines.greedy import greedy_plan
from agents.strategies.baselines.studies import PROPOSALS_PER_EVALUATION, sample_plans
from agents.strategies.baselines.uniform import uniform_plan
from envs.projection import fit_to_budget
from envs.toys import separable


class Told(RandomSampler):
    """A sampler that remembers what it is told."""

    def __init__(self):
        super().__init__(seed=0)
        self.trials = []

    def after_trial(self, study, trial, state, values):
        self.trials.append((dict(trial.params), list(values)))


def sample(search, sampler):
    sample_plans(search, sampler, within=fit_to_budget, objectives=lambda plan, wer: (wer, -wer))


def test_a_sampler_is_told_of_what_it_proposed_the_values_of_what_that_became(make_search):
    toy, sampler = separable(), Told()
    search = make_search(toy, evaluations=12)
    sample(search, sampler)
    assert len(sampler.trials) >= 12
    for params, values in sampler.trials:
        became = fit_to_budget(tuple(params.values()), search.budget, search.energies)
        wer = toy.evaluate(search.budget.plan(became))
        assert values == [wer, -wer]


def test_the_cheap_plans_come_first(make_search):
    toy, sampler = separable(), Told()
    search = make_search(toy, evaluations=3)
    sample(search, sampler)
    first = [tuple(params.values()) for params, _ in sampler.trials[:2]]
    assert first == [search.budget.entries(plan) for plan in (greedy_plan(toy.problem), uniform_plan(toy.problem))]


class Settled(Told):
    """A sampler that proposes the cheapest entry of every layer, always."""

    def sample_independent(self, study, trial, name, distribution):
        return distribution.low


def test_a_sampler_that_has_settled_ends_after_two_proposals_for_each_evaluation(make_search):
    sampler = Settled()
    search = make_search(separable(), evaluations=15)
    sample(search, sampler)
    assert search.recorder.evaluations_left > 0
    assert len(sampler.trials) == PROPOSALS_PER_EVALUATION * 15


@pytest.mark.parametrize("verbosity", [optuna.logging.INFO, optuna.logging.WARNING])
def test_optuna_says_as_much_afterwards_as_before(make_search, verbosity):
    usual = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(verbosity)
    try:
        sample(make_search(separable(), evaluations=3), RandomSampler(seed=0))
        assert optuna.logging.get_verbosity() == verbosity
    finally:
        optuna.logging.set_verbosity(usual)
