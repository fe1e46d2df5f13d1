"""The demo, with a tiny recogniser in place of the bundled one: the same steps, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from server.cli import demo
from server.worker.processes import descendants
from shrinkml.errors import ServiceError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def small_demo(tmp_path, monkeypatch, tiny_data, tiny_model_dir):
    """The demo's own constants, pointed at a small job; runs in an empty folder."""
    job = {
        "name": "demo",
        "model": str(tiny_model_dir),
        "data": {**{split: str(path) for split, path in tiny_data.items() if split != "train"}, "proxy_utterances": 4},
        "goal": {"compression_ratio": 1.3, "max_wer_increase": 1.0},
        "search": {"strategy": "random", "evaluations": 2, "baselines": ["uniform"]},
        "steps": [1.3],
        "executor": "local",
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHRINKML_DATA_ROOTS", str(tmp_path.anchor))  # the tiny data lie elsewhere
    Path("job.yaml").write_text(yaml.safe_dump(job))
    monkeypatch.setattr(demo, "CONFIG", Path("job.yaml"))
    monkeypatch.setattr(demo, "ORIGINAL", tiny_model_dir)
    monkeypatch.setattr(demo, "prepare_task", lambda task, folder: tiny_data)
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})  # what is started has one, too, and times on one thread alone
    yield
    os.sched_setaffinity(0, processors)


def test_the_demo_leaves_a_checkpoint_and_a_report_and_no_process(small_demo, capfd):
    before = set(descendants(os.getpid()))
    assert demo.run()
    assert set(descendants(os.getpid())) <= before  # a worker of the tests' own Ray may end meanwhile
    report = json.loads((demo.RUN / "report.json").read_text())
    assert report["compression_ratio"] >= 1.3
    assert "plotly" in (demo.RUN / "report.html").read_text(encoding="utf-8")
    said, shown = capfd.readouterr()
    assert f"the original   ({report['baseline']['parameters']:>9,} weights in its file)" in said
    assert f"the compressed ({report['result']['parameters']:>9,} weights in its file)" in said
    assert "Goal met" in said
    assert "search" in shown  # the stages, as they ended


WAITING_DEMO = """
import sys, time
from pathlib import Path
from server.cli import demo

def run():
    with demo.running_server(Path("home"), Path("log")) as url:
        print(url, flush=True)
        time.sleep(60)

demo.run = run
demo.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_takes_its_server_with_it(tmp_path, number):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING_DEMO], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().startswith("http://")
    while len(family := descendants(process.pid)) < 2:  # the server and its worker
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(60) != 0
    process.stdout.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in family)


def test_a_server_that_cannot_start_is_reported_with_what_it_said(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ServiceError, match=r"the server did not start: (.|\n)*file"),
        demo.running_server(tmp_path / "file" / "home", tmp_path / "log"),
    ):
        pytest.fail("it started")


def test_a_failure_while_the_server_runs_ends_it(tmp_path):
    before = set(descendants(os.getpid()))

    def fail_inside():
        with demo.running_server(tmp_path / "home", tmp_path / "log"):
            assert set(descendants(os.getpid())) - before
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail_inside()
    assert set(descendants(os.getpid())) <= before
