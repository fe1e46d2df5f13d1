import pytest

from agents.pipeline.progress_meter import ProgressMeter
from agents.pipeline.run_folder import RunFolder
from agents.pipeline.stage_runner import StageRunner, run_plainly
from shrinkml.errors import StoppedError
from shrinkml.job import parse_job

SPEC = parse_job({"model": "reference/las", "data": {"dev": "d", "test": "t"}, "goal": {"compression_ratio": 2.0}})


def runner_in(folder, events, *, should_stop=lambda: False, run_stage=run_plainly):
    meter = ProgressMeter(SPEC, n_searches=1)
    return StageRunner(RunFolder(folder), meter, on_event=events.append, should_stop=should_stop, run_stage=run_stage)


def search(folder, teller):
    (folder / "made").write_text("something")
    teller.tell("evaluated", "random/0/1", "one plan", {"wer": 0.5}, n_done=1, n_total=2)
    return {"evaluations": 1}


def test_stages_are_numbered_and_named_by_kind_and_ratio(tmp_path):
    runner = runner_in(tmp_path, [])
    names = [runner.run("validate", lambda *_: {}).name, runner.run("search", search, ratio=2.5).name]
    assert names == ["01-validate", "02-search-2.5x"]


def test_a_finished_stage_tells_what_it_returned_how_long_it_took_and_where_its_folder_is(tmp_path):
    finished = runner_in(tmp_path, []).run("search", search)
    assert finished.result["evaluations"] == 1
    assert finished.result["seconds"] >= 0.0
    assert (finished.folder / "made").read_text() == "something"


def test_events_have_the_same_keys_when_a_job_is_resumed(tmp_path):
    first, second = [], []
    runner_in(tmp_path, first).run("search", search)
    runner_in(tmp_path, second).run("search", search)
    keys = [event.key for event in first]
    assert keys == ["01-search/started", "01-search/random/0/1", "01-search/finished"]
    assert [event.key for event in second] == [keys[0], keys[2]], "what was done is not done again"
    assert first[-1].data == second[-1].data
    assert [event.progress.evaluations_done for event in (first[-1], second[-1])] == [1, 1]


def test_the_time_of_a_stage_is_that_of_the_process_that_ran_it(tmp_path):
    runner = runner_in(tmp_path, [])
    runner.run("search", search)
    resumed = runner_in(tmp_path, [])
    resumed.run("search", search)
    assert resumed.seconds == runner.seconds


def test_nothing_starts_after_a_stop(tmp_path):
    events = []
    runner = runner_in(tmp_path, events, should_stop=lambda: True)
    with pytest.raises(StoppedError, match="stopped before stage 01-validate"):
        runner.run("validate", lambda *_: {})
    assert events == []


def test_a_result_kept_elsewhere_is_taken_without_running_the_stage(tmp_path):
    def from_memory(name, stage):
        return {"seconds": 1.0, "name": name}

    finished = runner_in(tmp_path, [], run_stage=from_memory).run("search", search)
    assert finished.result == {"seconds": 1.0, "name": "01-search"}
    assert not finished.folder.exists()
