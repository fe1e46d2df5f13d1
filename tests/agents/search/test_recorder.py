import dataclasses
import json

import pytest

from agents.search.recorder import MAX_REPEATS, Recorder
from agents.search.search_result import Trial
from envs.budget import Budget
from envs.problem import Judgement
from envs.toys import separable
from shrinkml.errors import PlanError, StoppedError
from shrinkml.plan.compression_plan import CompressionPlan

TOY = separable()
BUDGET = Budget.of(TOY.problem)
PLANS = [BUDGET.plan(entries) for entries in [(0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0), (0, 1, 0, 0, 0, 0)]]


def make_recorder(*, wers=(0.3, 0.1, 0.2), evaluations=3, should_stop=lambda: False, told=None):
    answers = iter(wers)
    return Recorder(
        TOY.problem,
        lambda plan: next(answers),
        evaluations=evaluations,
        on_trial=lambda trial, n_done: None if told is None else told.append(n_done),
        should_stop=should_stop,
    )


def test_a_plan_judged_before_is_answered_from_memory_and_not_counted():
    told = []
    recorder = make_recorder(told=told)
    assert [recorder(PLANS[0]), recorder(PLANS[1]), recorder(PLANS[0])] == [0.3, 0.1, 0.3]
    assert told == [1, 2]


def test_the_recorder_finishes_when_every_plan_inside_the_budget_is_judged():
    first, *others = TOY.problem.decisions
    whole = [dataclasses.replace(one, options=one.options[-1:]) for one in others]
    few = dataclasses.replace(TOY.problem, decisions=(first, *whole), compression_ratio=1.0)
    plans = [Budget.of(few).plan((entry, 0, 0, 0, 0, 0)) for entry in range(len(first.options))]
    few = dataclasses.replace(few, compression_ratio=few.prices.ratio(plans[1]))  # the first two are inside
    recorder = Recorder(few, lambda plan: 0.5, evaluations=9, on_trial=lambda *told: None, should_stop=lambda: False)
    recorder.measure(plans[2])
    for plan in plans[:2]:
        assert not recorder.finished
        recorder(plan)
    assert recorder.finished


def test_the_recorder_finishes_with_its_last_evaluation():
    recorder = make_recorder(evaluations=2)
    recorder(PLANS[0])
    assert not recorder.finished
    recorder(PLANS[1])
    assert recorder.finished


def test_the_recorder_finishes_when_nothing_new_is_proposed():
    recorder = make_recorder()
    recorder(PLANS[0])
    for repeat in range(MAX_REPEATS):
        assert not recorder.finished
        recorder(PLANS[0])
        assert recorder.repeats == repeat + 1
    assert recorder.finished


def test_a_new_plan_starts_the_count_of_repeats_again():
    recorder = make_recorder()
    for plan in (PLANS[0], PLANS[0], PLANS[1]):
        recorder(plan)
    assert recorder.repeats == 0


def test_a_stop_is_final():
    answers = iter([True, False])
    recorder = make_recorder(should_stop=lambda: next(answers))
    assert recorder.finished
    assert recorder.finished


def test_the_best_trial_has_the_lowest_wer_and_ties_go_to_the_smaller_model():
    recorder = make_recorder(wers=(0.1, 0.1, 0.2))
    for plan in (PLANS[1], PLANS[0], PLANS[2]):
        recorder(plan)
    assert recorder.result("mine", 7).best.plan == PLANS[0]


def test_a_plan_over_the_budget_is_refused():
    with pytest.raises(PlanError, match=r"a plan of \d+ parameters was proposed where the budget is \d+"):
        make_recorder()(CompressionPlan())


def test_a_plan_over_the_budget_may_be_measured_and_counts_but_never_wins():
    told = []
    recorder = make_recorder(wers=(0.01, 0.2), told=told)
    assert recorder.measure(CompressionPlan()) == 0.01
    with pytest.raises(StoppedError, match="stopped before it judged a plan"):
        recorder.result("mine", 0)
    recorder(PLANS[0])
    result = recorder.result("mine", 0)
    assert result.best.plan == PLANS[0]
    assert [trial.plan for trial in result.trials] == [CompressionPlan(), PLANS[0]]
    assert (told, recorder.evaluations_left) == ([1, 2], 1)


def test_without_a_trial_there_is_no_result():
    with pytest.raises(StoppedError, match="stopped before it judged a plan"):
        make_recorder().result("mine", 0)


def test_trials_inside_the_budget_are_told_in_order():
    recorder = make_recorder()
    heaviest = BUDGET.plan([len(menu) - 1 for menu in BUDGET.weights])
    recorder(PLANS[1])
    recorder.measure(heaviest)
    recorder(PLANS[0])
    assert [trial.plan for trial in recorder.inside] == [PLANS[1], PLANS[0]]


class Racer:
    """Whoever races loses, after half of the words; who does not has a WER of 0.3."""

    def __init__(self):
        self.raced = []

    def __call__(self, plan):
        return 0.3

    def race(self, plan, rival):
        self.raced.append((plan, rival))
        return Judgement(0.4, 0.5)


def test_plans_race_against_the_best_so_far_but_for_the_first_and_those_that_are_measured():
    racer, told = Racer(), []
    recorder = Recorder(
        TOY.problem, racer, evaluations=4, on_trial=lambda trial, _: told.append(trial), should_stop=lambda: False
    )
    wers = [recorder.measure(CompressionPlan()), recorder(PLANS[0]), recorder(PLANS[1]), recorder.measure(PLANS[2])]
    assert (wers, racer.raced) == ([0.3, 0.3, 0.4, 0.3], [(PLANS[1], PLANS[0])])
    assert [trial.stopped for trial in told] == [False, False, True, False]
    assert [Trial.from_json(json.loads(json.dumps(trial.to_json()))) for trial in told] == told


def test_a_plan_races_only_against_those_no_larger_so_that_a_front_keeps_its_small_ones():
    racer = Racer()
    recorder = Recorder(
        TOY.problem, racer, evaluations=3, on_trial=lambda trial, n_done: None, should_stop=lambda: False
    )
    smaller, larger, lost = PLANS[0], PLANS[1], PLANS[2]
    sizes = [TOY.problem.cost(plan).parameters for plan in (smaller, larger, lost)]
    assert sizes[0] < 0.99 * min(sizes[1:])
    assert [recorder(larger), recorder(smaller), recorder(lost)] == [0.3, 0.3, 0.4]
    assert racer.raced == [(lost, smaller)]


def test_a_trial_of_an_older_version_was_judged_whole():
    value = Trial(PLANS[0], 0.3, 5).to_json()
    del value["heard"]
    assert not Trial.from_json(value).stopped
