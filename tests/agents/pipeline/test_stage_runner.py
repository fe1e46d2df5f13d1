from dataclasses import dataclass

import pytest

from agents.execution.local_executor import LocalExecutor
from agents.pipeline.folder.run_folder import RunFolder
from agents.pipeline.materials import Materials
from agents.pipeline.progress.progress_meter import ProgressMeter
from agents.pipeline.stage import RunState, Stage, Tools, takes
from agents.pipeline.stage_runner import StageRunner, run_plainly
from agents.pipeline.step import Step
from shrinkml.errors import StoppedError
from shrinkml.job import parse_job

SPEC = parse_job({"model": "reference/las", "data": {"dev": "d", "test": "t"}, "goal": {"compression_ratio": 2.0}})


@dataclass(frozen=True, slots=True)
class Searched:
    evaluations: int


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


def search(context):
    (context.folder / "made").write_text("something")
    context.teller.tell("evaluated", "random/0/1", "one plan", {"wer": 0.5}, n_done=1, n_total=2)
    return Searched(1)


VALIDATE = Stage("validate", Nothing, lambda context: Nothing(), takes(1.0))
SEARCH = Stage(
    "search", Searched, search, takes(1.0), evaluations=lambda spec: 2, evaluated=lambda found: found.evaluations
)
SEARCH_OF_STEP = Stage("search", Searched, search, takes(1.0), per_step=True)
STAGES = (VALIDATE, SEARCH, SEARCH_OF_STEP)


def runner_in(folder, events, *, should_stop=lambda: False, run_stage=run_plainly):
    materials = Materials(SPEC.model, SPEC.data, seed=0, should_stop=should_stop)
    tools = Tools(SPEC, RunFolder(folder), materials, LocalExecutor(), should_stop)
    return StageRunner(tools, ProgressMeter(SPEC, STAGES), on_event=events.append, run_stage=run_stage)


def failing_runner(folder, work):
    """Runs a stage of its own, which does `work`."""
    broken = Stage("broken", Nothing, work, takes(1.0))
    materials = Materials(SPEC.model, SPEC.data, seed=0, should_stop=lambda: False)
    tools = Tools(SPEC, RunFolder(folder), materials, LocalExecutor(), lambda: False)
    StageRunner(tools, ProgressMeter(SPEC, (broken,)), on_event=lambda event: None, run_stage=run_plainly).run(
        broken, RunState()
    )


def step(number, folder):
    return Step(ratio=2.5, number=number, start=folder, ahead=(), policies={})


def test_stages_are_named_by_what_they_are_and_by_the_ratio_of_their_step(tmp_path):
    runner = runner_in(tmp_path, [])
    names = [runner.run(VALIDATE, RunState()).name]
    names += [runner.run(SEARCH_OF_STEP, RunState(step=step(number, tmp_path))).name for number in (1, 2)]
    assert names == ["validate", "search-2.5x", "search-2.5x-2"]


def test_a_finished_stage_tells_what_it_returned_how_long_it_took_and_where_its_folder_is(tmp_path):
    state = RunState()
    finished = runner_in(tmp_path, []).run(SEARCH, state)
    assert finished.record.evaluations == 1
    assert finished.seconds >= 0.0
    assert (finished.folder / "made").read_text() == "something"
    assert state.get(SEARCH) is finished


def test_events_have_the_same_keys_when_a_job_is_resumed(tmp_path):
    first, second = [], []
    runner_in(tmp_path, first).run(SEARCH, RunState())
    runner_in(tmp_path, second).run(SEARCH, RunState())
    keys = [event.key for event in first]
    assert keys == ["search/started", "search/random/0/1", "search/finished"]
    assert [event.key for event in second] == [keys[0], keys[2]], "what was done is not done again"
    assert first[-1].data == second[-1].data
    assert [event.progress.evaluations_done for event in (first[-1], second[-1])] == [1, 1]


def test_the_time_of_a_stage_is_that_of_the_process_that_ran_it(tmp_path):
    first, resumed = RunState(), RunState()
    runner_in(tmp_path, []).run(SEARCH, first)
    runner_in(tmp_path, []).run(SEARCH, resumed)
    assert resumed.seconds == first.seconds


def test_nothing_starts_after_a_stop(tmp_path):
    events = []
    runner = runner_in(tmp_path, events, should_stop=lambda: True)
    with pytest.raises(StoppedError, match="stopped before stage validate"):
        runner.run(VALIDATE, RunState())
    assert events == []


def test_a_result_kept_elsewhere_is_taken_without_running_the_stage(tmp_path):
    def from_memory(name, stage):
        return {"seconds": 1.0, "evaluations": 7, "name": name}

    finished = runner_in(tmp_path, [], run_stage=from_memory).run(SEARCH, RunState())
    assert (finished.record, finished.seconds, finished.name) == (Searched(7), 1.0, "search")
    assert not finished.folder.exists()


def test_the_log_tells_when_stages_start_finish_and_fail(tmp_path, caplog):
    caplog.set_level("INFO", logger="agents.pipeline")
    runner_in(tmp_path, []).run(VALIDATE, RunState())

    def fail(context):
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        failing_runner(tmp_path, fail)
    messages = [record.message for record in caplog.records]
    assert messages[0] == "stage validate started"
    assert messages[1].startswith("stage validate finished in ")
    assert messages[2:] == ["stage broken started", "stage broken failed: ValueError: no luck"]
