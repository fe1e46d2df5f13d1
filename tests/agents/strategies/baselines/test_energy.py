import numpy as np
import pytest

from agents.strategies.baselines.energy import energy
from envs.budget import Budget
from envs.toys import separable
from envs.toys.rank_toys import small_layers, spectra
from tests.agents.toy_search import search

SEED = 5  # of the toy


def smallest_ranks(toy, threshold):
    """The first option of each decision whose rank keeps the share `threshold` of its spectrum: LiteASR's rule."""
    found = spectra(small_layers(), np.random.default_rng(SEED))
    entries = []
    for decision in toy.problem.decisions:
        squares = np.square(found[decision.name])
        kept = [squares[: choice.rank].sum() / squares.sum() for choice in decision.choices]
        entries.append(next((i for i, share in enumerate(kept) if share >= threshold), len(kept) - 1))
    return entries


def test_all_sites_keep_the_highest_share_of_their_spectra_that_the_budget_affords():
    toy = separable(SEED)
    budget = Budget.of(toy.problem)
    low, high = 0.0, 1.0
    for _ in range(40):  # bisection, as published
        middle = (low + high) / 2
        fits = budget.spent(smallest_ranks(toy, middle)) <= budget.limit
        low, high = (middle, high) if fits else (low, middle)
    (trial,) = search("energy", toy).trials
    chosen, least = budget.entries(trial.plan), smallest_ranks(toy, low)
    assert all(entry >= at_least for entry, at_least in zip(chosen, least, strict=True))
    assert least != list(budget.cheapest)


@pytest.mark.parametrize("stopped", [True, False])
def test_it_judges_one_plan_unless_it_was_stopped(make_search, stopped):
    found = make_search(separable(), evaluations=5, should_stop=lambda: stopped)
    energy(found)
    assert found.recorder.evaluations_left == (5 if stopped else 4)
