import pytest

from agents.pipeline.progress.progress_meter import ProgressMeter
from agents.pipeline.progress.stage_work import REFERENCE, Sizes, Work
from agents.pipeline.stage_table import STAGES, after_steps, before_steps, of_step
from agents.pipeline.stages.conclusion.activations_stage import RoundedModel
from agents.pipeline.stages.preparation.transcripts_stage import Transcripts
from agents.pipeline.stages.steps.search_stage import Searched
from agents.pipeline.windows.window_stage import Windowed
from shrinkml.job import parse_job

SPEC = parse_job(
    {
        "model": "reference/las",
        "data": {"train": "r", "dev": "d", "test": "t"},
        "goal": {"compression_ratio": 4.0},
        "steps": [2.0, 4.0],
        "search": {"evaluations": 10, "baselines": ["greedy", "random"]},
    }
)
N_SEARCHES = 3
BEFORE, OF_STEP, AFTER = before_steps(STAGES), of_step(STAGES), after_steps(STAGES)
VALIDATE, SEARCH, FINETUNE = (next(s for s in STAGES if s.name == name) for name in ("validate", "search", "finetune"))


RECORDS = {
    "search": Searched(20),
    "transcripts": Transcripts("references", None, None, taught=1000, left_out=0),
    "windows": Windowed(),
    "activations": RoundedModel(wer=0.05, observed_wer=0.05),
}


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
    return ProgressMeter(SPEC, STAGES, clock=clock)


def walk(meter, stages, *, ratio=None, ahead=(), evaluations=20):
    """Runs `stages`; the progress reports on the way."""
    for stage in stages:
        meter.begin(stage, ratio=ratio, ahead=ahead)
        yield meter.at(0, 2)
        yield meter.at(1, 2)
        judged = evaluations if stage is SEARCH else 0
        yield meter.finish(1.0, RECORDS.get(stage.name), evaluations=judged)


def test_a_job_goes_from_nothing_to_everything_without_falling_back(meter):
    reports = [
        *walk(meter, BEFORE, ahead=(2.0, 4.0)),
        *walk(meter, OF_STEP, ratio=2.0, ahead=(4.0,)),
        *walk(meter, OF_STEP, ratio=4.0),
        *walk(meter, AFTER),
    ]
    fractions = [report.fraction for report in reports]
    assert fractions[0] == 0.0
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert reports[-1].seconds_left == 0.0


def test_a_stage_that_has_to_be_repeated_takes_nothing_back(meter):
    reports = [
        *walk(meter, BEFORE, ahead=(4.0,)),
        *walk(meter, OF_STEP, ratio=4.0),
        *walk(meter, OF_STEP, ratio=3.0, ahead=(4.0,)),
    ]
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] < 1.0


def test_evaluations_count_what_was_judged_and_what_may_still_be(meter):
    meter.begin(VALIDATE, ratio=None, ahead=(2.0, 4.0))
    assert meter.at().evaluations_total == 2 * N_SEARCHES * 10
    meter.begin(SEARCH, ratio=2.0, ahead=(4.0,))
    assert (meter.at(7, 30).evaluations_done, meter.at(7, 30).evaluations_total) == (7, 60)
    done = meter.finish(1.0, Searched(20), evaluations=20)
    assert (done.evaluations_done, done.evaluations_total) == (20, 20 + 30)


def test_the_time_left_follows_the_speed_so_far(meter, clock):
    meter.begin(VALIDATE, ratio=None, ahead=(2.0, 4.0))
    assert meter.at(0, 1).seconds_left is None
    clock.now = 10.0
    half = meter.at(1, 2)
    assert half.seconds_left == pytest.approx(10.0 * (1 - half.fraction) / half.fraction)


def test_time_spent_in_an_earlier_process_counts(meter, clock):
    meter.begin(VALIDATE, ratio=None, ahead=(2.0, 4.0))
    slow = meter.finish(100.0, None)
    assert slow.seconds_left == pytest.approx(100.0 * (1 - slow.fraction) / slow.fraction)


def test_a_longer_last_fine_tuning_weighs_on_its_own_stage_alone(clock):
    spec = SPEC.model_copy(update={"finetune": SPEC.finetune.model_copy(update={"epochs": 1, "final_epochs": 9})})
    meter = ProgressMeter(spec, STAGES, clock=clock)
    meter.know(Sizes(train=1000))

    def left_s(ratio):
        meter.begin(FINETUNE, ratio=ratio, ahead=())
        clock.now += 0.5
        return meter.at(0, 1).seconds_left

    assert left_s(4.0) - left_s(2.0) == pytest.approx((9 - 1) * 1000 * REFERENCE.trained)


def test_a_stage_that_is_far_enough_tells_its_own_end(clock):
    meter = ProgressMeter(SPEC, STAGES, clock=clock)
    meter.begin(SEARCH, ratio=4.0, ahead=())
    ends = []
    for n_done in (6, 15, 27):
        clock.now = 600.0 * n_done / 30
        ends.append(clock.now + meter.at(n_done, 30).seconds_left)
    assert ends == pytest.approx([ends[0]] * 3)
    assert ends[0] > 600.0


def test_later_stages_are_foreseen_at_the_pace_of_those_before(clock):
    meter = ProgressMeter(SPEC, STAGES, clock=clock)
    baseline = next(stage for stage in STAGES if stage.name == "baseline")
    meter.know(Sizes(train=1000, dev=100, test=100, proxy=100))
    meter.begin(baseline, ratio=None, ahead=(4.0,))
    at_first = meter.at(0, 1)
    foreseen = baseline.work(SPEC, 4.0, Sizes(dev=100, proxy=100)).transcribed * REFERENCE.transcribed
    slow = meter.finish(1000 * foreseen, None)
    assert at_first.seconds_left is None
    evaluations = N_SEARCHES * 10 * 100 * REFERENCE.transcribed / SPEC.workers
    assert slow.seconds_left > 300 * evaluations


def test_the_pace_is_that_of_the_work_really_made(clock):
    transcripts = next(stage for stage in STAGES if stage.name == "transcripts")

    def left_s(found):
        meter = ProgressMeter(SPEC, STAGES, clock=clock)
        meter.know(Sizes(train=1000, dev=100, test=100, proxy=100))
        meter.begin(transcripts, ratio=None, ahead=(4.0,))
        return meter.finish(500.0, found).seconds_left

    own = Transcripts("own", 0.9, 0.2, taught=900, left_out=100, heard=1000)
    few = Transcripts("own", 0.9, 0.2, taught=900, left_out=100, heard=16)
    assert left_s(own) < left_s(few) / 10
    remembered = Transcripts("own", 0.9, 0.2, taught=900, left_out=100, heard=0)
    assert left_s(remembered) < left_s(own)  # what was spared tells of no pace


def test_work_that_is_found_out_on_the_way_tells_of_the_pace_at_once(clock):
    meter = ProgressMeter(SPEC, STAGES, clock=clock)
    meter.know(Sizes(train=1000, dev=100, test=100, proxy=100))
    transcripts = next(stage for stage in STAGES if stage.name == "transcripts")
    meter.begin(transcripts, ratio=None, ahead=(4.0,))
    clock.now = 100.0
    uncertain = meter.at(1, 2)
    meter.expect(Work(transcribed=1000))
    told = meter.at(1, 2)
    done = meter.finish(200.0, Transcripts("own", 0.9, 0.2, taught=1000, left_out=0, heard=1000))
    assert told.seconds_left == pytest.approx(100.0 + done.seconds_left)
    assert uncertain.seconds_left < told.seconds_left / 2
