"""The default strategy on toys, judged by losses."""

import pytest

from agents.search.look.effort import SHARE
from agents.search.look.first_fidelity import LEAST_PLANS, MOST_PLANS, N_HEARD, plan_of_least_loss, plans_to_judge
from envs.toys import separable, telling
from envs.word_loss import word_loss
from shrinkml.errors import StoppedError


def test_it_finds_the_plan_of_least_loss_in_few_plans():
    toy, seen = telling(separable()), []

    def loss(plan):
        seen.append(plan)
        return word_loss(toy.evaluate(plan), 0.0)

    assert plan_of_least_loss(toy.problem, loss, n_plans=30) == toy.best_plan()
    assert len(seen) <= 30
    assert len({plan.digest for plan in seen}) == len(seen)


def test_what_it_finds_is_judged_by_the_losses_not_by_what_was_expected():
    toy = telling(separable())
    worst = {toy.best_plan(): 1.0}
    found = plan_of_least_loss(toy.problem, lambda plan: worst.get(plan, 0.1), n_plans=10)
    assert found != toy.best_plan()
    assert toy.problem.admits(found)


def test_a_stop_is_no_result():
    def stopped(plan):
        raise StoppedError("stopped on request")

    with pytest.raises(StoppedError, match="stopped on request"):
        plan_of_least_loss(telling(separable()).problem, stopped, n_plans=10)


def test_it_costs_no_more_than_its_share_of_a_search():
    assert plans_to_judge(None) == plans_to_judge(10**9) == MOST_PLANS
    assert plans_to_judge(0) == 0
    for searched in (100, 512, 1000, 3000):
        n_plans = plans_to_judge(searched)
        assert n_plans == 0 or n_plans >= LEAST_PLANS
        assert n_plans * N_HEARD <= SHARE * searched
