import pytest

from agents.strategies.baselines.greedy import greedy_plan
from agents.strategies.baselines.uniform import uniform_plan
from agents.strategies.starts import judge_baselines, judge_starts
from envs.toys import separable, telling


def judged(make_search, judge, toy, evaluations=10):
    plans = []
    judge(make_search(toy, evaluations=evaluations, evaluate=lambda plan: plans.append(plan) or toy.evaluate(plan)))
    return plans


def cheap_plans(toy):
    return [greedy_plan(toy.problem), uniform_plan(toy.problem)]


@pytest.mark.parametrize("judge", [judge_baselines, judge_starts])
def test_the_greedy_and_the_uniform_plan_are_judged_in_this_order(make_search, judge):
    toy = separable()
    assert judged(make_search, judge, toy) == cheap_plans(toy)


def test_where_losses_are_known_the_plan_of_least_expected_loss_comes_first(make_search):
    toy = telling(separable())  # it expects what plans do: that plan is the best
    assert judged(make_search, judge_starts, toy) == [toy.best_plan(), *cheap_plans(toy)]
    assert judged(make_search, judge_baselines, toy) == cheap_plans(toy)


@pytest.mark.parametrize("evaluations", [0, 1, 2])
def test_no_more_is_judged_than_there_are_evaluations(make_search, evaluations):
    toy = telling(separable())
    starts = [toy.best_plan(), *cheap_plans(toy)]
    assert judged(make_search, judge_starts, toy, evaluations) == starts[:evaluations]
