import json
import subprocess
import sys

import pytest

from agents.pipeline.folder.run_folder import opened
from shrinkml.errors import ConfigError, StageError
from shrinkml.job import parse_job

JOB = {"model": "reference/las", "data": {"dev": "d", "test": "t"}, "goal": {"compression_ratio": 2.0}}


@pytest.fixture
def spec():
    return parse_job(JOB)


def test_a_finished_stage_is_not_run_again(tmp_path, spec):
    def refuse(folder):
        raise AssertionError("run twice")

    with opened(tmp_path, spec) as run:
        run.finish("a", lambda folder: {"n": 1})
    with opened(tmp_path, spec) as run:
        assert run.finish("a", refuse) == {"n": 1}


def test_a_stage_that_failed_gets_its_folder_back(tmp_path, spec):
    def fail(folder):
        (folder / "half").write_text("done")
        raise ValueError("no luck")

    with opened(tmp_path, spec) as run:
        with pytest.raises(ValueError, match="no luck"):
            run.finish("a", fail)
        assert run.finish("a", lambda folder: {"half": (folder / "half").read_text()}) == {"half": "done"}
        assert (run.stage("a") / "half").exists()


def test_a_job_that_fails_at_once_leaves_nothing_but_a_later_failure_keeps_what_was_done(tmp_path, spec):
    def fail(folder):
        raise ConfigError("no luck")

    root = tmp_path / "run"
    with pytest.raises(ConfigError, match="no luck"), opened(root, spec) as run:
        run.finish("a", fail)
    assert not root.exists()
    with opened(root, spec) as run:
        run.finish("a", lambda folder: {})
    with pytest.raises(ConfigError, match="no luck"), opened(root, spec) as run:
        run.finish("b", fail)
    assert (root / "job.json").exists()
    assert run.stage("a").exists()


def test_a_published_checkpoint_replaces_the_one_before(tmp_path, spec):
    (tmp_path / "model").mkdir()
    with opened(tmp_path / "run", spec) as run:
        for content in ("first", "second"):
            (tmp_path / "model" / "weights").write_text(content)
            run.publish(tmp_path / "model", "final")
        assert (run.checkpoints / "final" / "weights").read_text() == "second"
        assert [path.name for path in run.checkpoints.iterdir()] == ["final"]
        run.withdraw("final")
        run.withdraw("final")
        assert not list(run.checkpoints.iterdir())


def test_a_folder_serves_one_process_at_a_time(tmp_path, spec):
    with (
        opened(tmp_path, spec),
        pytest.raises(StageError, match="another process works in"),
        opened(tmp_path, spec),
    ):
        pass
    with opened(tmp_path, spec):
        pass


def test_a_killed_process_holds_no_lock(tmp_path, spec):
    program = (
        "import json, sys, time; from pathlib import Path; "
        "from agents.pipeline.folder.run_folder import opened; from shrinkml.job import parse_job; "
        "held = opened(Path(sys.argv[1]), parse_job(json.loads(sys.argv[2]))); held.__enter__(); "
        "print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path), json.dumps(JOB)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StageError, match="another process works in"), opened(tmp_path, spec):
            pass
        process.kill()
    with opened(tmp_path, spec):
        pass


def test_a_folder_keeps_to_its_job(tmp_path, spec):
    other = spec.model_copy(update={"seed": 1})
    with opened(tmp_path, spec):
        pass
    with (
        pytest.raises(ConfigError, match=r"holds another job \(seed: 0 there, 1 here\); ask for the same"),
        opened(tmp_path, other),
    ):
        pass


def test_a_folder_whose_job_calls_its_steps_stages_is_gone_on_with(tmp_path):
    steps = parse_job({**JOB, "steps": [1.5, 2.0]})
    (tmp_path / "job.json").write_text(steps.model_dump_json().replace('"steps"', '"stages"'))
    with opened(tmp_path, steps) as run:
        assert run.root == tmp_path
