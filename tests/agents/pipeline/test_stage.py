import pytest

from agents.pipeline.progress.stage_work import Sizes
from agents.pipeline.stage import Finished, RunState, Stage, StageContext, Teller, always, takes
from agents.pipeline.step import Step
from shrinkml.errors import StageError
from shrinkml.events import Progress

ONCE = Stage("once", int, lambda context: 1, takes(1.0))
EACH = Stage("each", int, lambda context: 2, takes(1.0), per_step=True)


def context_in(folder, state):
    return StageContext(None, state, folder, Teller("once", lambda *_: Progress(0.0), lambda event: None))


def test_a_stage_sees_the_records_of_the_job_and_of_its_own_step(tmp_path):
    state = RunState(
        finished={"once": Finished("once", tmp_path / "a", 1, 2.0)},
        step=Step(ratio=2.0, number=1, start=tmp_path, ahead=(), policies={}),
        finished_in_step={"each": Finished("each-2x", tmp_path / "b", 2, 3.0)},
    )
    context = context_in(tmp_path, state)
    assert (context.record(ONCE), context.record(EACH)) == (1, 2)
    assert (context.folder_of(ONCE), context.folder_of(EACH)) == (tmp_path / "a", tmp_path / "b")
    assert context.step.label == "2x"


def test_what_has_not_run_is_found_by_nobody(tmp_path):
    context = context_in(tmp_path, RunState())
    assert context.find(ONCE) is None
    for ask in (context.record, context.folder_of):
        with pytest.raises(StageError, match="stage each has not run; put it before what needs it in the table"):
            ask(EACH)


def test_a_stage_of_the_whole_job_has_no_step(tmp_path):
    with pytest.raises(StageError, match="stage once is of the whole job and has no step; mark it as per_step"):
        context_in(tmp_path, RunState()).step  # noqa: B018 - looked up on purpose


def test_by_default_a_stage_is_in_every_job_and_judges_nothing(tiny_job):
    spec = tiny_job()
    assert always(spec, 2.0)
    assert (
        ONCE.present(spec, 2.0),
        ONCE.evaluations(spec),
        ONCE.evaluated(1),
        ONCE.work(spec, 2.0, Sizes()).seconds,
    ) == (
        True,
        0,
        0,
        1.0,
    )
