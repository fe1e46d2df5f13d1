"""The worker's process by itself: it ends with its standard input, and a home has one."""

import json
import os
import subprocess
import sys

import pytest

from server.limits import Limits
from server.service_errors import ForbiddenPathError
from server.uploads.upload_state import UploadKind
from server.uploads.uploads import uploads_in
from server.worker.work import _prepare
from shrinkml.errors import UnknownNameError
from shrinkml.job import parse_job, resolved
from tests.server.uploads.conftest import send, tar_of

PROGRAM = """
import logging, sys
from pathlib import Path
from server.worker import work as worker
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
worker.LOCK_WAIT_S = 0.0
worker.work(Path(sys.argv[1]), lambda *_, **__: {"goal_met": True})
"""


def test_a_worker_ends_when_its_standard_input_closes_and_a_second_one_is_refused(tmp_path):
    command = [sys.executable, "-u", "-c", PROGRAM, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        said = iter(process.stdout.readline, "")
        assert next(line for line in said if "is ready" in line) == f"worker {process.pid} is ready\n"
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(19, ours + 10), "the server goes first"
        second = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert "HomeInUseError: another worker works in" in second.stderr
        rest, _ = process.communicate("")
    assert process.returncode == 0
    assert f"worker {process.pid} ends: its server has stopped or died" in rest


def test_the_log_of_a_worker_is_of_objects_where_its_operator_wants_them(tmp_path):
    command = [sys.executable, "-m", "server.worker.work", str(tmp_path), "--data-root", ".", "--log-format", "json"]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    messages = [json.loads(line)["message"] for line in run.stderr.splitlines()]
    assert run.stdout == ""
    assert any(message.endswith("is ready") for message in messages)
    assert messages[-1].endswith("ends: its server has stopped or died")


def test_a_job_is_run_with_paths_for_its_uploads_and_others_under_the_operators_roots_alone(
    tmp_path, engine, data_folder, request_body
):
    uploads = uploads_in(tmp_path, engine)
    files = {path.name: path.read_bytes() for path in (data_folder / "model").iterdir()}
    upload = send(uploads, UploadKind.MODEL, tar_of(files))
    spec = resolved(parse_job({**request_body, "model": upload.reference}), data_folder)
    limits = Limits(free_gb=0)
    run = _prepare(tmp_path, [data_folder], limits, uploads, spec)
    assert run.model == str(uploads.place_of(upload).resolve())
    assert run.data == spec.data
    with pytest.raises(ForbiddenPathError, match=r"data\.train: .* lies outside"):
        _prepare(tmp_path, [data_folder / "model"], limits, uploads, spec)
    uploads.delete(upload)
    with pytest.raises(UnknownNameError, match="no model was uploaded as"):
        _prepare(tmp_path, [data_folder], limits, uploads, spec)
