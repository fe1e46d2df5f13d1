"""Real servers in processes of their own, watched until the last process of theirs is gone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from server.worker.processes import descendants
from shrinkml.client import Client, JobHandle

STANDIN = Path(__file__).with_name("standin_worker.py")
REPOSITORY = Path(__file__).parents[3]  # the stand-in imports from `tests`
PATIENCE_S = 60.0

PROGRAM = """
import sys
from pathlib import Path
from server.serving import serve
from server.settings import Settings
home, data, worker = sys.argv[1:]
settings = Settings(home=home, port=0, data_roots=(Path(data),))
command = (sys.executable, worker, home) if worker else None
serve(settings, on_ready=lambda url: print(url, flush=True), worker=command)
"""


class LiveServer:
    """A server process on a port that the system chose, with a client for it."""

    def __init__(self, home: Path, data: Path, worker: Path | None) -> None:
        command = [sys.executable, "-c", PROGRAM, str(home), str(data), str(worker or "")]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.home = home
        self.url = self.process.stdout.readline().strip()
        self.client = Client(self.url)
        self._family = {self.process.pid}

    def worker_pid(self) -> int:
        """Of the worker that runs: the server may not have noticed yet that the last one has ended."""

        def running() -> int | None:
            pid = httpx.get(f"{self.url}/healthz").json()["worker_pid"]
            return pid if pid and _runs(pid) else None

        return self.wait_for(running)

    def kill_worker(self) -> None:
        self.kill(self.worker_pid())

    def kill(self, pid: int) -> None:
        """`kill -9`, and waits until the process is gone."""
        self.note_family()
        os.kill(pid, signal.SIGKILL)
        if pid == self.process.pid:
            self.process.wait()
        self.wait_for(lambda: not _runs(pid))

    def note_family(self) -> None:
        """Remembers the processes of the server, to see later that they are gone."""
        self._family |= set(descendants(self.process.pid))

    def family(self) -> set[int]:
        """Those processes of the server that still run."""
        return {pid for pid in self._family if _runs(pid)}

    def stop(self) -> None:
        """Ends the server as an operator would."""
        self.client.close()
        self.note_family()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.process.stdout.close()

    @staticmethod
    def wait_for(condition: Callable[[], object]):
        """What `condition` says as soon as it is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not (value := condition()):
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.02)
        return value

    def wait_for_event(self, job: JobHandle, key: str) -> None:
        """Returns when the job's log holds the event `key`."""
        assert any(entry.event.key == key for entry in job.events()), f"the job ended without {key}"


@contextmanager
def served(home: Path, data: Path, worker: Path | None = STANDIN) -> Iterator[LiveServer]:
    """A server in `home` with a stand-in for the worker, or (None) the real one; its processes must all end with it."""
    server = LiveServer(home, data, worker)
    try:
        yield server
    finally:
        server.stop()
    server.wait_for(lambda: not server.family())


@pytest.fixture
def serving(tmp_path: Path, data_folder: Path) -> Callable[..., AbstractContextManager[LiveServer]]:
    """Starts a server in `tmp_path`, once or again."""
    return partial(served, tmp_path, data=data_folder)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> Iterator[LiveServer]:
    """One server for all tests that leave it as they found it."""
    with served(tmp_path_factory.mktemp("live"), data_folder) as server:
        yield server


def _runs(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
