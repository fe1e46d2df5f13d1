"""In a process of its own, because it ends all its descendants."""

import subprocess
import sys

PROGRAM = """
import logging, os, sys, time
from pathlib import Path
from server.worker import supervisor
from server.worker.supervisor import Supervisor

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
supervisor.FIRST_DELAY_S = 0.01
command = (sys.executable, "-c", sys.argv[2])
watched = Supervisor(command, Path(sys.argv[1]), Path("pulse"), silence_s=float(sys.argv[4]))
assert watched.pid is None
watched.start()

def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

until(lambda: watched.pid is not None and watched.restarts >= int(sys.argv[3]))
print("restarts", watched.restarts, flush=True)
pid = watched.pid
watched.stop()
assert watched.pid is None
assert not Path(f"/proc/{pid}").exists()
print("stopped", flush=True)
"""

PATIENT = "import sys; print('at work', flush=True); sys.stdin.read(); print('left', flush=True)"
DYING = """
import os, pathlib, sys
marker = pathlib.Path('died')
if not marker.exists():
    marker.touch()
    os._exit(7)
sys.stdin.read()
"""


def supervised(tmp_path, worker: str, restarts: int, silence_s: float = 60.0) -> str:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "worker.log"), worker, str(restarts), str(silence_s)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_a_worker_is_started_and_ends_in_order_with_its_output_in_the_log(tmp_path):
    said = supervised(tmp_path, PATIENT, 0)
    assert "restarts 0\n" in said
    assert said.splitlines()[-2:] == ["stopped the worker", "stopped"]
    assert "started the worker, process " in said
    assert set((tmp_path / "worker.log").read_text().splitlines()) <= {"at work", "left"}


def test_a_worker_that_dies_is_started_again_and_the_log_says_so(tmp_path):
    said = supervised(tmp_path, DYING, 1)
    assert f"the worker ended with code 7; starting it again in 0.0 s (see {tmp_path / 'worker.log'})" in said
    assert said.count("started the worker, process ") == 2


STOPPING = """
import os, pathlib, signal, sys
os.utime("pulse")
marker = pathlib.Path('stopped')
if not marker.exists():
    marker.touch()
    os.kill(os.getpid(), signal.SIGSTOP)
sys.stdin.read()
"""


def test_a_worker_that_gives_no_sign_of_life_any_more_is_replaced(tmp_path):
    said = supervised(tmp_path, STOPPING, 1, silence_s=2.0)
    assert "the worker gave no sign of life for 2 s and is replaced" in said
    assert "the worker ended with code -9" in said


def test_a_worker_that_has_not_begun_to_live_is_waited_for(tmp_path):
    assert "no sign of life" not in supervised(tmp_path, PATIENT, 0, silence_s=0.01)
