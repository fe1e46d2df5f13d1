import numpy as np
import pytest

from agents.strategies.baselines.evolution import MAX_STEP, _mutate, mutated_share
from agents.strategies.baselines.greedy import greedy_plan
from agents.strategies.baselines.uniform import uniform_plan
from envs.budget import Budget
from envs.toys import recogniser
from tests.agents.toy_search import search


@pytest.mark.parametrize(("n_layers", "share"), [(1, 0.25), (6, 0.25), (18, 0.25), (45, 0.1), (450, 0.01)])
def test_a_quarter_of_the_layers_mutates_and_of_many_four_and_a_half(n_layers, share):
    assert mutated_share(n_layers) == pytest.approx(share)


def test_mutated_layers_move_by_a_few_entries_and_the_others_not():
    budget, rng = Budget.of(recogniser().problem), np.random.default_rng(0)
    before = budget.entries(greedy_plan(recogniser().problem))
    n_mutated = []
    for _ in range(400):
        after, mutated = _mutate(before, budget, rng)
        steps = [abs(a - b) for a, b in zip(after, before, strict=True)]
        assert max(steps) <= MAX_STEP
        assert {layer for layer, step in enumerate(steps) if step} <= mutated
        assert all(0 <= entry < len(prices) for entry, prices in zip(after, budget.weights, strict=True))
        n_mutated.append(len(mutated))
    assert min(n_mutated) >= 1
    assert np.mean(n_mutated) == pytest.approx(4.5, abs=0.4)  # of 18 layers; four standard errors


def farthest_from_the_cheap_plans(judge):
    """The most layers by which a plan of a search differs from both plans that it starts from."""
    toy = recogniser()
    budget = Budget.of(toy.problem)
    starts = [budget.entries(plan) for plan in (greedy_plan(toy.problem), uniform_plan(toy.problem))]
    plans = [budget.entries(trial.plan) for trial in search("evolution", toy, evaluations=40, evaluate=judge).trials]
    return max(min(sum(a != b for a, b in zip(plan, start, strict=True)) for start in starts) for plan in plans)


def test_a_child_that_is_as_good_replaces_its_parent_and_a_worse_one_does_not():
    greedy = greedy_plan(recogniser().problem)
    drifting = farthest_from_the_cheap_plans(lambda plan: 0.5)
    staying = farthest_from_the_cheap_plans(lambda plan: 0.1 if plan == greedy else 0.5)
    assert drifting > staying
