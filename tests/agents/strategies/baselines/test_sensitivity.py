from envs.budget import Budget
from envs.toys import separable
from tests.agents.toy_search import search

ENOUGH = 33  # the cheap plans, each of five entries of six layers alone, and the plan itself


def test_no_layer_loses_more_alone_than_the_least_bound_that_the_budget_affords():
    toy = separable()
    budget = Budget.of(toy.problem)

    def cheapest_within(bound):  # ASVD's rule; the oracle, with the losses that the toy was made of
        return [next(i for i, loss in enumerate(row) if loss <= bound) for row in toy.word_losses]

    bounds = sorted({loss for row in toy.word_losses for loss in row})
    least = next(bound for bound in bounds if budget.spent(cheapest_within(bound)) <= budget.limit)
    result = search("sensitivity", toy, evaluations=ENOUGH)
    chosen = budget.entries(result.trials[-1].plan)
    assert len(result.trials) == ENOUGH
    assert all(entry >= at_least for entry, at_least in zip(chosen, cheapest_within(least), strict=True))
    assert cheapest_within(least) != list(budget.cheapest)


def test_the_last_evaluation_is_left_for_the_plan_however_few_there_are():
    toy = separable()
    trials = search("sensitivity", toy, evaluations=7).trials
    assert [toy.problem.admits(trial.plan) for trial in trials] == [True, True, False, False, False, False, True]
