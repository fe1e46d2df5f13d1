import pytest

from agents.pipeline.schedule import MAX_STEP_BACKS, FinishedStep, best_of, next_ratio, start_of

PLANNED = (2.0, 4.0, 8.0)


def finished_step(ratio, *, passed, wer=0.1):
    return FinishedStep(ratio=ratio, reached=ratio * 1.01, wer=wer, passed=passed, checkpoint=f"step-{ratio:g}x")


def passes(*ratios):
    return [finished_step(ratio, passed=True) for ratio in ratios]


def test_steps_that_pass_go_through_the_plan():
    assert [next_ratio(PLANNED, passes(*PLANNED[:n])) for n in range(4)] == [2.0, 4.0, 8.0, None]


def test_a_miss_is_answered_with_the_geometric_mean_of_the_last_good_ratio_and_the_missed_one():
    assert next_ratio(PLANNED, [*passes(2.0), finished_step(8.0, passed=False)]) == 4.0
    missed = [finished_step(2.0, passed=False)]
    assert next_ratio(PLANNED, missed) == pytest.approx(1.41)
    assert next_ratio(PLANNED, missed, reached=1.57) == pytest.approx(1.77)
    assert next_ratio(PLANNED, missed, reached=2.5) == pytest.approx(1.41)
    assert next_ratio(PLANNED, [*passes(2.0), finished_step(4.0, passed=False)], reached=1.57) == pytest.approx(2.83)


def test_a_gentler_step_that_passes_leads_back_to_the_plan():
    assert next_ratio(PLANNED, [*passes(2.0), finished_step(4.0, passed=False), *passes(2.83)]) == 4.0


@pytest.mark.parametrize("passing", [(), (2.0,), (2.0, 2.83), (2.0, 3.0, 4.0)])
def test_a_job_ends_however_its_steps_go(passing):
    steps = []
    while (ratio := next_ratio(PLANNED, steps)) is not None:
        steps.append(finished_step(ratio, passed=ratio in passing))
    assert len(steps) <= len(PLANNED) + 2 * MAX_STEP_BACKS + 1
    assert any(a.ratio == PLANNED[-1] for a in steps), "the report needs to know what the goal would have cost"


def test_the_next_step_starts_from_the_smallest_model_that_passed():
    steps = [*passes(2.0), finished_step(4.0, passed=False)]
    assert start_of(steps).ratio == 2.0
    assert start_of(steps[1:]) is None


def test_the_smallest_model_that_passed_is_kept_else_the_one_of_lowest_wer():
    missed = [finished_step(4.0, passed=False, wer=0.3), finished_step(2.0, passed=False, wer=0.2)]
    assert best_of(missed).wer == 0.2
    assert best_of([*passes(2.0), *missed]).passed
