from envs.budget import Budget
from envs.toys import recogniser
from tests.agents.toy_search import search


def test_its_plans_spread_over_prices_below_the_budget():
    toy = recogniser()
    budget = Budget.of(toy.problem)
    spent = [budget.spent(budget.entries(trial.plan)) for trial in search("nsga2", toy, evaluations=40).trials]
    assert max(spent) <= budget.limit
    assert min(spent) < 0.9 * budget.limit


def test_it_breeds_from_the_front_of_wer_and_price():
    """Its later plans are beaten, in both, by fewer of a random sample's than its first ones are."""
    toy = recogniser()
    budget = Budget.of(toy.problem)
    trials = search("nsga2", toy, evaluations=120).trials
    points = [(trial.wer, budget.spent(budget.entries(trial.plan))) for trial in trials]

    def n_beaten(some):
        return sum(any(a <= x and b <= y and (a, b) != (x, y) for a, b in points) for x, y in some)

    assert n_beaten(points[-30:]) < n_beaten(points[2:32])  # after the two cheap plans
