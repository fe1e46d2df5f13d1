"""Real servers in processes of their own, watched until the last process of theirs is gone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from server.limits import Limits
from server.worker.processes import descendants
from shrinkml.client import Client, JobHandle
from shrinkml.errors import ServiceError

STANDIN = Path(__file__).with_name("standin_worker.py")
REPOSITORY = Path(__file__).parents[3]  # the stand-in imports from `tests`
PATIENCE_S = 240.0  # little less than pytest has with a test
LIMITS = Limits(free_gb=0)

PROGRAM = """
import sys
from pathlib import Path
from server.serving import serve
from server.limits import Limits
from server.settings import Settings
home, data, worker, limits, port = sys.argv[1:]
settings = Settings(
    home=home,
    port=int(port),
    data_roots=(Path(data),),
    limits=Limits.model_validate_json(limits),
    webhook_networks=("127.0.0.0/8",),
)
command = (sys.executable, worker, home, limits) if worker else None
serve(settings, on_ready=lambda url: print(url, flush=True), worker=command)
"""


class LiveServer:
    """A server process on a port that the system chose, with a client for it."""

    def __init__(
        self,
        home: Path,
        data: Path,
        worker: Path | None,
        *,
        limits: Limits = LIMITS,
        port: int = 0,
        within: Sequence[str] = (),
    ) -> None:
        """Start the server.

        Args:
            home: its folder.
            data: what jobs may read.
            worker: a program instead of the real one.
            limits: on requests and jobs.
            port: to listen on; the system chooses if 0.
            within: a command that runs the server in surroundings of its own.
        """
        command = [*within, sys.executable, "-c", PROGRAM, str(home), str(data), str(worker or "")]
        command += [limits.model_dump_json(), str(port)]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.home = home
        self.url = self.process.stdout.readline().strip()
        self.client = Client(self.url)
        self._family = {self.process.pid}

    def worker_pid(self) -> int:
        """Of the worker that runs: the server may not have noticed yet that the last one has ended."""

        def running() -> int | None:
            pid = httpx.get(f"{self.url}/readyz").json()["worker"]["pid"]
            return pid if pid and _runs(pid) else None

        return self.wait_for(running)

    def readiness(self) -> httpx.Response:
        """The server's word on whether it is ready for jobs."""
        return httpx.get(f"{self.url}/readyz", timeout=PATIENCE_S)

    def wait_until_well(self) -> None:
        """Returns when the worker lives."""
        self.wait_for(lambda: self.readiness().status_code == 200)

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

    def end(self, job_id: str) -> None:
        """Cancels the job if it has not ended, and returns when it has."""
        job = self.client.job(job_id)
        with suppress(ServiceError):  # it has ended
            job.cancel()
        for _ in job.events():
            pass

    def stop(self) -> None:
        """Ends the server as an operator would."""
        self.client.close()
        self.note_family()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
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
def served(
    home: Path,
    data: Path,
    worker: Path | None = STANDIN,
    *,
    limits: Limits = LIMITS,
    port: int = 0,
    within: Sequence[str] = (),
) -> Iterator[LiveServer]:
    """A server in `home` with a stand-in for the worker, or (None) the real one; its processes must all end with it."""
    server = LiveServer(home, data, worker, limits=limits, port=port, within=within)
    try:
        yield server
    finally:
        server.stop()
    server.wait_for(lambda: not server.family())


@pytest.fixture
def serving(tmp_path: Path, data_folder: Path) -> Callable[..., AbstractContextManager[LiveServer]]:
    """Starts a server in `tmp_path`, once or again."""
    return partial(served, home=tmp_path, data=data_folder)


@pytest.fixture(scope="session")
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
