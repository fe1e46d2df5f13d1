import pytest

from agents.pipeline.schedule import MAX_STEP_BACKS, Attempt, best_of, next_ratio, start_of

PLANNED = (2.0, 4.0, 8.0)


def attempt(ratio, *, passed, wer=0.1):
    return Attempt(ratio=ratio, reached=ratio * 1.01, wer=wer, passed=passed, checkpoint=f"stage-{ratio:g}x")


def passes(*ratios):
    return [attempt(ratio, passed=True) for ratio in ratios]


def test_stages_that_pass_go_through_the_plan():
    assert [next_ratio(PLANNED, passes(*PLANNED[:n])) for n in range(4)] == [2.0, 4.0, 8.0, None]


def test_a_miss_is_answered_with_the_geometric_mean_of_the_last_good_ratio_and_the_missed_one():
    assert next_ratio(PLANNED, [*passes(2.0), attempt(8.0, passed=False)]) == 4.0
    assert next_ratio(PLANNED, [attempt(2.0, passed=False)]) == pytest.approx(1.41)


def test_a_gentler_stage_that_passes_leads_back_to_the_plan():
    assert next_ratio(PLANNED, [*passes(2.0), attempt(4.0, passed=False), *passes(2.83)]) == 4.0


@pytest.mark.parametrize("passing", [(), (2.0,), (2.0, 2.83), (2.0, 3.0, 4.0)])
def test_a_job_ends_however_its_stages_go(passing):
    attempts = []
    while (ratio := next_ratio(PLANNED, attempts)) is not None:
        attempts.append(attempt(ratio, passed=ratio in passing))
    assert len(attempts) <= len(PLANNED) + 2 * MAX_STEP_BACKS + 1
    assert any(a.ratio == PLANNED[-1] for a in attempts), "the report needs to know what the goal would have cost"


def test_the_next_stage_starts_from_the_smallest_model_that_passed():
    attempts = [*passes(2.0), attempt(4.0, passed=False)]
    assert start_of(attempts).ratio == 2.0
    assert start_of(attempts[1:]) is None


def test_the_smallest_model_that_passed_is_kept_else_the_one_of_lowest_wer():
    missed = [attempt(4.0, passed=False, wer=0.3), attempt(2.0, passed=False, wer=0.2)]
    assert best_of(missed).wer == 0.2
    assert best_of([*passes(2.0), *missed]).passed
