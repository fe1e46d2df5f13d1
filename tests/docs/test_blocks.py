"""Every fenced block of README and docs is run: commands and Python as they stand, in a small project folder.

`make` is asked for its plan only (`make -n`): what its targets do takes minutes, and has tests and a demo of its own.
The port of the service is the system's choice here, JOB is the job submitted last, ID the first token or upload that is
listed.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

import shrinkml
from server.cli.main import main
from shrinkml.export import stock
from shrinkml.export.exporter import export
from shrinkml.job import parse_job
from shrinkml.storage.model_folder import look_into
from tests.agents.toy_search import few_generations
from tests.docs.documents import ROOT, blocks, shell_lines

PORT = "8765"  # of the documents
SERVED = {"submit", "status", "events", "cancel", "resume", "delete", "download", "serve"}
CURL = [block for block in blocks("sh") if block.document == "curl.md"]  # tests/server/live/test_curl.py runs the page
SEVERAL = [block for block in blocks("sh") if block.document == "operations.md"]  # see test_shared_database.py
SERVICE = [block for block in blocks("sh") if "shrinkml submit" in block.text]
LOCAL = [block for block in blocks("sh") if block not in SERVICE + CURL + SEVERAL]
REMOTE_PYTHON = [block for block in blocks("python") if "Client(" in block.text]
ON_DEVICE = [block for block in blocks("python") if "sys.argv" in block.text]
# Tracing takes long; the tests of the traced CTC graphs run the script of these, too.
TRACED = [block for block in ON_DEVICE if "sherpa_onnx" in block.text or "decoder" not in block.text]
PYTHON = [block for block in blocks("python") if block not in REMOTE_PYTHON + ON_DEVICE]
JOBS = blocks("yaml")
RUN = [*CURL, *SEVERAL, *SERVICE, *LOCAL, *REMOTE_PYTHON, *ON_DEVICE, *PYTHON, *JOBS, *blocks("json"), *blocks("")]


@pytest.fixture(autouse=True)
def in_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def test_no_block_is_left_out():
    assert {str(block) for block in blocks()} == {str(block) for block in RUN}
    assert all(block.text.startswith("shrinkml") for block in blocks("")), "blocks without a language are pictures"


def run_line(line, monkeypatch, capsys, url=None, job=None):
    """Runs one command as a shell would; what it prints. Commands of ours run in this process."""
    program, *arguments = shlex.split(line.replace("JOB", job or "JOB"))
    if program == "shrinkml":
        if url is not None:
            monkeypatch.setenv("SHRINKML_URL", url)
        monkeypatch.setattr("sys.argv", [program, *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        assert not end.value.code, f"{line}: {printed.err}"
        return printed.out
    if program == "make":
        line = f"make -n -C {ROOT} {shlex.join(arguments)}"
    done = subprocess.run(["bash", "-ec", line], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout


@pytest.mark.parametrize("block", LOCAL, ids=str)
def test_the_commands_run(block, monkeypatch, capsys):
    token = "ID"
    for line in shell_lines(block.text):
        printed = run_line(re.sub(r"\bID\b", token, line), monkeypatch, capsys)
        if line.startswith("shrinkml token list"):
            token = printed.splitlines()[1].split()[0]


@pytest.mark.slow
@pytest.mark.parametrize("block", SERVICE, ids=str)
def test_the_commands_speak_to_a_real_service(block, service, monkeypatch, capsys):
    job, upload = None, "ID"
    for line in shell_lines(block.text):
        if line.startswith(("shrinkml serve", "shrinkml worker")):
            continue  # that is what `service` runs
        printed = run_line(re.sub(r"\bID\b", upload, line), monkeypatch, capsys, service, job)
        if line.startswith("shrinkml upload list"):
            upload = printed.splitlines()[1].split()[0]
        if line.startswith("shrinkml submit"):
            job = printed.split()[0]
    if job is not None:
        assert look_into("small/final").stored_parameters > 0


@pytest.mark.slow
@pytest.mark.parametrize("block", REMOTE_PYTHON, ids=str)
def test_the_client_works_as_written(block, service, capsys):
    exec(block.text.replace(f"http://127.0.0.1:{PORT}", service), {})
    assert "finished" in capsys.readouterr().out
    assert look_into("small/final").stored_parameters > 0


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_the_python_runs(block):
    """As it stands, but that plans evolve little in the model of what loses how much."""
    with few_generations():
        exec(block.text, own_module() if "shrinkml.compress(" in block.text else {})


@pytest.mark.parametrize(
    "block",
    [pytest.param(block, marks=pytest.mark.slow) if block in TRACED else block for block in ON_DEVICE],
    ids=str,
)
def test_the_scripts_of_a_device_run(block, project, stock_dir, tmp_path):
    if "sherpa_onnx" in block.text:
        pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed")
        stock.export(project / "small-whisper", tmp_path / "onnx", "sherpa-onnx")
    else:
        export(project / "reference-las" if "decoder" in block.text else stock_dir("wav2vec2"), tmp_path / "onnx")
    (tmp_path / "script.py").write_text(block.text)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "onnx"), "audio.wav"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", JOBS, ids=str)
def test_the_jobs_are_valid(block):
    assert parse_job(yaml.safe_load(block.text)).goal.compression_ratio > 1


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_the_json_is_a_line_of_a_manifest(block):
    from shrinkml.speech.utterance import OPTIONAL, REQUIRED

    assert set(json.loads(block.text)) == {*REQUIRED, *OPTIONAL}


def own_module():
    """What the example of a module of one's own takes for granted: a module that tells two words apart, and speech."""

    class Listener(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru, self.output = nn.GRU(8, 24, batch_first=True), nn.Linear(24, 2)

        def forward(self, features):
            return self.output(self.gru(torch.stack(list(features)))[0].mean(1))

        def loss(self, features, texts):
            return nn.functional.cross_entropy(self(features), torch.tensor([["up", "down"].index(t) for t in texts]))

        def transcribe(self, features):
            return [("up", "down")[i] for i in self(features).argmax(1)]

    def speech(seed):
        noise = torch.randn(8, 12, 8, generator=torch.Generator().manual_seed(seed))
        return [noise[i] + i % 2 for i in range(8)], [("up", "down")[i % 2] for i in range(8)]

    names = {"model": Listener(), "Model": Listener, "shrinkml": shrinkml}
    for number, split in enumerate(("train", "dev", "test")):
        names[f"{split}_features"], names[f"{split}_texts"] = speech(number)
    return names
