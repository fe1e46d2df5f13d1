import pytest

from agents.execution.local_executor import LocalExecutor
from agents.pipeline.best_so_far import best_kept_on_stop
from agents.pipeline.folder.run_folder import RunFolder
from agents.pipeline.schedule import FinishedStep
from agents.pipeline.stage import Finished, RunState, Tools
from agents.pipeline.step import Step, StepOutcome
from shrinkml.errors import ConfigError, StoppedError

PASSED = FinishedStep(ratio=2.0, reached=2.1, wer=0.1, passed=True, checkpoint="step-2x")
MISSED = FinishedStep(ratio=4.0, reached=4.1, wer=0.3, passed=False, checkpoint="step-4x")


@pytest.fixture
def tools(spec, materials, tmp_path):
    for name in ("step-2x", "step-4x"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        (tmp_path / "checkpoints" / name / "weights").write_text(name)
    return Tools(spec, RunFolder(tmp_path), materials, LocalExecutor(), lambda: False)


def state(*steps, **more):
    rest = dict.fromkeys(("problem", "results", "plan", "finalists", "before", "after", "kept"))
    return RunState(outcomes=[StepOutcome(step=step, seconds=1.0, **rest) for step in steps], **more)


def left_by(error, tools, state):
    """The content of the checkpoint that a job stopped by `error` leaves."""
    with pytest.raises(type(error), match="stopped"), best_kept_on_stop(tools, state):
        raise error
    kept = tools.folder.checkpoints / "best-so-far" / "weights"
    return kept.read_text() if kept.exists() else None


def test_in_a_step_the_smallest_model_that_passed_is_kept(tools, tmp_path):
    at_work = Step(ratio=3.0, number=1, start=tmp_path, ahead=(4.0,), policies={})
    assert left_by(StoppedError("stopped"), tools, state(PASSED, MISSED, step=at_work)) == "step-2x"


def test_after_the_steps_the_best_of_them_is_kept_until_it_is_final(tools, tmp_path):
    assert left_by(StoppedError("stopped"), tools, state(MISSED)) == "step-4x"
    tools.folder.withdraw("best-so-far")
    verified = {"verify": Finished("verify", tmp_path, None, 1.0)}
    assert left_by(StoppedError("stopped"), tools, state(MISSED, finished=verified)) is None


def test_nothing_is_kept_of_a_job_that_has_nothing_yet_or_that_failed(tools, tmp_path):
    at_work = Step(ratio=3.0, number=1, start=tmp_path, ahead=(), policies={})
    assert left_by(StoppedError("stopped"), tools, RunState()) is None
    assert left_by(StoppedError("stopped"), tools, RunState(step=at_work)) is None
    assert left_by(ConfigError("stopped by mistake"), tools, state(PASSED)) is None


def test_a_stop_names_the_checkpoint_that_holds_the_best(tools, tmp_path):
    message = r"^stopped; there is no smaller model yet$"
    with pytest.raises(StoppedError, match=message) as caught, best_kept_on_stop(tools, RunState()):
        raise StoppedError("stopped")
    assert caught.value.best is None
    message = r"^stopped; the best so far is the checkpoint 'best-so-far'$"
    with pytest.raises(StoppedError, match=message) as caught, best_kept_on_stop(tools, state(PASSED)):
        raise StoppedError("stopped")
    assert caught.value.best == "best-so-far"
    tools.folder.publish(tools.folder.checkpoints / "step-2x", "final")
    tools.folder.withdraw("best-so-far")
    verified = {"verify": Finished("verify", tmp_path, None, 1.0)}
    with pytest.raises(StoppedError) as caught, best_kept_on_stop(tools, state(PASSED, finished=verified)):
        raise StoppedError("stopped")
    assert caught.value.best == "final"
