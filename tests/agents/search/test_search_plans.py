import pytest

from agents.search.search_plans import search_plans
from agents.strategies.baselines.greedy import greedy_plan
from envs.toys import mixed, separable
from shrinkml.errors import ConfigError, UnknownNameError


def run(toy, strategy="greedy", **changes):
    given = {"reward": "budget_wall", "evaluations": 4, "seed": 0, **changes}
    return search_plans(strategy, toy.problem, toy.evaluate, **given)


@pytest.mark.parametrize("toy", [separable(), mixed()], ids=["ranks", "mixed"])
def test_the_result_names_strategy_and_seed_and_holds_what_was_judged(toy):
    result = run(toy, seed=5)
    assert (result.strategy, result.seed) == ("greedy", 5)
    assert [(trial.plan, trial.wer) for trial in result.trials] == [
        (greedy_plan(toy.problem), toy.evaluate(greedy_plan(toy.problem)))
    ]
    assert result.best.parameters == toy.problem.cost(result.best.plan).parameters


def test_names_that_are_in_no_table_are_refused():
    with pytest.raises(UnknownNameError, match=r"no strategy named 'gredy'; known: .*Did you mean 'greedy'"):
        run(separable(), "gredy")
    with pytest.raises(UnknownNameError, match=r"no reward named 'harmonics'.*'harmonic'"):
        run(separable(), reward="harmonics")


def test_a_policy_is_for_strategies_that_keep_one():
    with pytest.raises(ConfigError, match="a policy is given, and greedy goes on from none; allowed: dyna"):
        run(separable(), policy={})
