import pytest

from agents.pipeline.progress.stage_work import REFERENCE, REMEMBERED, Pace, Work


def test_work_takes_its_units_times_their_pace():
    work = Work(transcribed=100, trained=10, seconds=2)
    expected = 100 * REFERENCE.transcribed + 10 * REFERENCE.trained + 2
    assert Pace().seconds(work) == pytest.approx(expected)


def test_a_stage_that_took_longer_tells_of_its_kind_and_of_those_never_measured():
    pace = Pace()
    pace.learn(Work(transcribed=1000), 1000 * REFERENCE.transcribed * 50)
    assert pace.seconds(Work(transcribed=1)) == pytest.approx(50 * REFERENCE.transcribed)
    assert pace.seconds(Work(trained=1)) == pytest.approx(50 * REFERENCE.trained)
    assert pace.seconds(Work(seconds=1)) == 1
    pace.learn(Work(trained=1000), 1000 * REFERENCE.trained * 80)
    assert pace.seconds(Work(trained=1)) == pytest.approx(80 * REFERENCE.trained)
    assert pace.seconds(Work(transcribed=1)) == pytest.approx(50 * REFERENCE.transcribed)


def test_what_a_cache_spared_tells_of_no_pace():
    pace = Pace()
    pace.learn(Work(transcribed=1000), 0.9 * REMEMBERED * 1000 * REFERENCE.transcribed)
    assert pace == Pace()


def test_a_little_of_a_kind_beside_much_of_another_tells_of_the_other_alone():
    pace = Pace()
    pace.learn(Work(transcribed=1000, seconds=0.01), 100.0)
    assert pace.learned == {"transcribed"}
    assert pace.seconds(Work(seconds=1)) == 1


def test_a_copy_learns_for_itself():
    pace = Pace()
    copy = pace.copy()
    copy.learn(Work(transcribed=1000), 100.0)
    assert pace == Pace() != copy
