import pytest

from agents.progress import AFTER, ATTEMPT, BEFORE, ProgressMeter
from shrinkml.job import parse_job

SPEC = parse_job(
    {
        "model": "reference/las",
        "data": {"train": "r", "dev": "d", "test": "t"},
        "goal": {"compression_ratio": 4.0},
        "stages": [2.0, 4.0],
        "search": {"evaluations": 10},
    }
)
N_SEARCHES = 3


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def meter(clock):
    return ProgressMeter(SPEC, n_searches=N_SEARCHES, clock=clock)


def walk(meter, kinds, *, ahead, evaluations=20):
    """Runs the stages `kinds`; the progress reports on the way."""
    for kind in kinds:
        meter.begin(kind, ratios_ahead=ahead)
        yield meter.at(0, 2)
        yield meter.at(1, 2)
        yield meter.finish(1.0, evaluations=evaluations if kind == "search" else 0)


def test_a_job_goes_from_nothing_to_everything_without_falling_back(meter):
    reports = [
        *walk(meter, BEFORE, ahead=1),
        *walk(meter, ATTEMPT, ahead=1),
        *walk(meter, ATTEMPT, ahead=0),
        *walk(meter, AFTER, ahead=0),
    ]
    fractions = [report.fraction for report in reports]
    assert fractions[0] == 0.0
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert reports[-1].seconds_left == 0.0


def test_a_stage_that_has_to_be_repeated_takes_nothing_back(meter):
    reports = [*walk(meter, BEFORE, ahead=0), *walk(meter, ATTEMPT, ahead=0), *walk(meter, ATTEMPT, ahead=1)]
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] < 1.0


def test_evaluations_count_what_was_judged_and_what_may_still_be(meter):
    meter.begin("validate", ratios_ahead=1)
    assert meter.at().evaluations_total == 2 * N_SEARCHES * 10
    meter.begin("search", ratios_ahead=1)
    assert (meter.at(7, 30).evaluations_done, meter.at(7, 30).evaluations_total) == (7, 60)
    done = meter.finish(1.0, evaluations=20)
    assert (done.evaluations_done, done.evaluations_total) == (20, 20 + 30)


def test_the_time_left_follows_the_speed_so_far(meter, clock):
    meter.begin("validate", ratios_ahead=1)
    assert meter.at(0, 1).seconds_left is None
    clock.now = 10.0
    half = meter.at(1, 2)
    assert half.seconds_left == pytest.approx(10.0 * (1 - half.fraction) / half.fraction)


def test_time_spent_in_an_earlier_process_counts(meter, clock):
    meter.begin("validate", ratios_ahead=1)
    slow = meter.finish(100.0)
    assert slow.seconds_left == pytest.approx(100.0 * (1 - slow.fraction) / slow.fraction)
