"""The server's process: how it ends, and what it leaves in its log. Jobs through it are tested in live/."""

import json
import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from server.auth.home_tokens import tokens_in
from server.auth.tokens import new_token
from server.home import database_url

PROGRAM = """
import sys
from server.serving import serve
from server.settings import Settings
settings = Settings(home=sys.argv[1], port=int(sys.argv[2]), host=sys.argv[3], log_format=sys.argv[4])
serve(settings, on_ready=lambda url: print(url, flush=True), worker=(sys.executable, "-c", "input()"))
"""


def command(home, port: int = 0, host: str = "127.0.0.1", form: str = "text") -> list[str]:
    return [sys.executable, "-c", PROGRAM, str(home), str(port), host, form]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_in_order_and_its_log_tells_of_the_worker(tmp_path, number):
    with subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{url}/v1/version", timeout=240).is_success  # it listens already; from here on it serves
        os.kill(process.pid, number)
        _, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    told = (tmp_path / "server.log").read_text()
    assert "server.worker.supervisor INFO started the worker, process " in told
    assert told.endswith("server.worker.supervisor INFO stopped the worker\n")


def test_the_log_of_a_server_is_of_objects_where_its_operator_wants_them(tmp_path):
    with subprocess.Popen(command(tmp_path, form="json"), stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/v1/jobs/nobody", headers={"X-Request-Id": "mine"}, timeout=240).status_code == 404
        process.terminate()
    lines = [json.loads(line) for line in (tmp_path / "server.log").read_text().splitlines()]
    (refused,) = [line for line in lines if "request_id" in line]
    assert (refused["request_id"], refused["job_id"], refused["logger"]) == ("mine", "nobody", "server.http.app")
    assert lines[-1]["message"] == "stopped the worker"


def test_an_address_that_others_reach_is_refused_before_anything_listens_or_starts(tmp_path):
    program = (
        "from server.serving import serve; from server.settings import Settings\n"
        f"serve(Settings(home={str(tmp_path)!r}, port=0, host='0.0.0.0'), on_ready=print)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ConfigError: other machines reach 0.0.0.0, and without tokens whoever reaches this service" in run.stderr
    assert (run.stdout, list(tmp_path.iterdir())) == ("", [])


def test_with_a_token_others_are_served_who_have_one(tmp_path):
    token, secret = new_token("anna")
    with tokens_in(database_url(tmp_path), make=True) as tokens:
        tokens.add(token)
    with subprocess.Popen(command(tmp_path, host="0.0.0.0"), stdout=subprocess.PIPE, text=True) as process:
        jobs = process.stdout.readline().strip().replace("0.0.0.0", "127.0.0.1") + "/v1/jobs"
        assert httpx.get(jobs, timeout=240).status_code == 401
        assert httpx.get(jobs, headers={"Authorization": f"Bearer {secret}"}).json() == {"items": [], "next": None}
        process.terminate()
    assert "refused GET '/v1/jobs': unauthenticated (401)" in (told := (tmp_path / "server.log").read_text())
    assert secret not in told


def test_a_port_in_use_is_found_out_before_anything_is_started(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = subprocess.run(command(tmp_path, taken.getsockname()[1]), capture_output=True, text=True, check=False)
    assert "Address already in use" in run.stderr
    assert run.stdout == ""
    assert not (tmp_path / "worker.log").exists()
