import numpy as np
import pytest

from agents.search.evaluations.judge_once import judged_once
from agents.search.evaluations.sqlite_evaluations import SqliteEvaluations
from agents.search.racing import FALSE_STOPS, RacingJudge, has_lost
from envs.toys import TOYS
from shrinkml.plan.compression_plan import CompressionPlan
from tests.agents.toy_search import WORDS, Hearing, search

RIVAL, PLAN = CompressionPlan.of_ranks({"encoder": 8}), CompressionPlan.of_ranks({"encoder": 4})
N_UTTERANCES = sum(map(len, WORDS))


def judge(errors):
    """A judge of parts of two utterances of five words each, and the (plan, part) that it asked for."""
    asked = []

    def evaluate(plan, part):
        asked.append((plan, part))
        return errors[plan][part]

    return RacingJudge(evaluate, [[5, 5]] * len(errors[RIVAL])), asked


def test_a_plan_that_is_surely_worse_is_heard_no_further_and_thought_as_much_worse_as_it_was():
    racing, asked = judge({RIVAL: [(0, 1), (0, 0), (1, 0)], PLAN: [(2, 3), (0, 0), (0, 0)]})
    found = racing.race(PLAN, RIVAL)
    assert (found.wer, found.heard) == (2 / 30 + 4 / 10, 1 / 3)
    assert [part for plan, part in asked if plan == PLAN] == [0]


def test_a_plan_that_may_win_is_heard_whole():
    racing, _ = judge({RIVAL: [(0, 1), (0, 0), (5, 0)], PLAN: [(3, 0), (1, 0), (0, 0)]})
    found = racing.race(PLAN, RIVAL)
    assert (found.wer, found.heard) == (4 / 30, 1.0)
    assert found.wer == racing(PLAN) < racing(RIVAL)


def test_no_part_is_judged_twice():
    racing, asked = judge({RIVAL: [(0, 1), (0, 0)], PLAN: [(0, 0), (0, 0)]})
    racing.race(PLAN, RIVAL)
    racing.race(RIVAL, PLAN)
    racing(PLAN)
    assert len(asked) == len(set(asked)) == 4


def test_a_set_of_one_part_is_always_heard_whole():
    racing, _ = judge({RIVAL: [(0, 0)], PLAN: [(5, 5)]})
    assert racing.race(PLAN, RIVAL).heard == 1.0


def test_plans_as_good_as_their_rival_are_seldom_given_up():
    """Differences that add up to nothing, in random order: what is given up is as good, so it is a false stop."""
    rng, n_draws, looks = np.random.default_rng(0), 4000, (50, 100, 150)
    differences = np.array([-3, -2, -1, -1, -1, 1, 1, 1, 2, 3] * 8 + [0] * 120)
    shuffled = [rng.permutation(differences).tolist() for _ in range(n_draws)]
    given_up = sum(
        any(has_lost(drawn[:n], of=len(drawn), allowed=FALSE_STOPS / len(looks)) for n in looks) for drawn in shuffled
    )
    assert given_up / n_draws <= FALSE_STOPS + 3 * (FALSE_STOPS / n_draws) ** 0.5
    assert given_up > 0, "it is not for lack of looking"


@pytest.mark.parametrize("toy", ["separable", "recogniser"])
def test_evolution_judges_the_same_plans_where_it_races_and_hears_much_less(toy):
    toy, hearing = TOYS[toy](), Hearing(TOYS[toy]())
    raced = search("evolution", toy, evaluate=RacingJudge(hearing, WORDS), evaluations=60)
    whole = search("evolution", toy, evaluate=RacingJudge(Hearing(toy), WORDS).__call__, evaluations=60)
    assert [trial.plan for trial in raced.trials] == [trial.plan for trial in whole.trials]
    assert raced.best == whole.best
    assert hearing.n_heard < 0.85 * N_UTTERANCES * len(raced.trials)
    assert hearing.n_heard == sum(round(trial.heard * N_UTTERANCES) for trial in raced.trials)


@pytest.mark.parametrize("name", ["surrogate", "dyna"])
def test_agents_that_learn_a_model_hear_their_proposals_whole(name):
    toy = TOYS["recogniser"]()
    trials = search(name, toy, evaluate=RacingJudge(Hearing(toy), WORDS), evaluations=16).trials
    assert not any(trial.stopped for trial in trials[2:]), "the first two are the plans to start from"


def test_whoever_is_stopped_is_thought_worse_than_the_best_so_far():
    toy = TOYS["recogniser"]()
    trials = search("random", toy, evaluate=RacingJudge(Hearing(toy), WORDS), evaluations=40).trials
    stopped = [n for n, trial in enumerate(trials) if trial.stopped]
    assert stopped
    for n in stopped:
        assert trials[n].wer > min(trial.wer for trial in trials[:n] if not trial.stopped)


@pytest.mark.parametrize("name", ["surrogate", "evolution", "knapsack", "random"])
def test_what_others_put_into_the_cache_changes_no_search(name, tmp_path):
    toy = TOYS["coupled"]()

    def searched(file, strategy=name, seed=3):
        evaluate = judged_once(Hearing(toy), SqliteEvaluations(tmp_path / file), "toy")
        return search(strategy, toy, evaluate=RacingJudge(evaluate, WORDS), evaluations=14, seed=seed)

    cold = searched("own.sqlite")
    searched("shared.sqlite", strategy="knapsack")
    searched("shared.sqlite", strategy="evolution", seed=4)
    assert cold == searched("own.sqlite") == searched("shared.sqlite")
