"""Two servers and three workers on one database of Postgres and one folder: any two may die, and nothing is lost."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from server.artefacts.folder_artefacts import FolderArtefacts
from server.home import artefacts_folder, worker_id
from server.jobs.job_state import Job, JobState
from server.stores.job_store import LEASE_S
from server.stores.schema import connect
from server.stores.sql_store import SqlJobStore
from server.worker.processes import descendants
from tests.server.live.conftest import PATIENCE_S, REPOSITORY, STANDIN
from tests.server.live.test_recovery import WHOLE_LOG
from tests.server.postgres_databases import fresh_database

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

PROMISED_S = 30.0  # from the last sign of life of a dead worker until its job is taken over
PROGRAM = """
import sys
from server.limits import Limits
from server.serving import keep_working, serve
from server.settings import Settings
role, home, data, url, files, standin = sys.argv[1:]
limits = Limits(free_gb=0, jobs_waiting=100, silence_s=600)
settings = Settings(home=home, port=0, data_roots=(data,), limits=limits, database=url, files=files, worker=False)
if role == "server":
    serve(settings, on_ready=lambda url: print(url, flush=True))
else:
    command = (sys.executable, standin, home, limits.model_dump_json(), files)
    keep_working(settings, on_ready=lambda: print("ready", flush=True), worker=command)
"""


class Member:
    """A server or a worker, with everything below it."""

    def __init__(self, role: str, home: Path, data: Path, url: str, files: Path) -> None:
        self.home = home
        command = [sys.executable, "-c", PROGRAM, role, str(home), str(data), url, str(files), str(STANDIN)]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.said = ""

    def wait(self) -> None:
        """Returns when it is ready."""
        self.said = self.process.stdout.readline().strip()

    def kill(self) -> None:
        """`kill -9` for all of it at once."""
        for pid in (self.process.pid, *descendants(self.process.pid)):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()


class Cluster:
    """All members, and what is in the database."""

    def __init__(self, folder: Path, data: Path, url: str) -> None:
        self.files = folder / "files"
        names = ("server-1", "server-2", "worker-1", "worker-2", "worker-3")
        self.members = {name: Member(name.partition("-")[0], folder / name, data, url, self.files) for name in names}
        self.engine = connect(url)
        self.store = SqlJobStore(self.engine)

    def wait(self) -> None:
        for member in self.members.values():
            member.wait()

    def stop(self) -> None:
        for member in self.members.values():
            member.stop()
        self.engine.dispose()

    def jobs(self) -> list[Job]:
        return self.store.page(limit=100)

    def at_work(self, name: str) -> Job | None:
        """The job that the worker has, in the midst of its log."""
        mine = worker_id(self.members[name].home)
        jobs = (job for job in self.jobs() if job.worker == mine)
        return next((job for job in jobs if job.progress is not None), None)

    def submit(self, body: dict[str, object], n: int) -> list[str]:
        """Submits `n` jobs, to the servers in turn."""
        urls = [self.members[name].said for name in ("server-1", "server-2")]
        answers = [httpx.post(f"{urls[i % 2]}/v1/jobs", json=body, timeout=PATIENCE_S) for i in range(n)]
        return [answer.raise_for_status().json()["id"] for answer in answers]


def until(condition: Callable[[], object], patience_s: float = PATIENCE_S):
    deadline = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
    return value


@pytest.fixture
def cluster(tmp_path, data_folder, empty_postgres) -> Iterator[Cluster]:
    with fresh_database(empty_postgres) as url:
        cluster = Cluster(tmp_path, data_folder, url)
        try:
            cluster.wait()
            yield cluster
        finally:
            cluster.stop()


def assert_whole(cluster: Cluster, ids: list[str]) -> None:
    """Every job succeeded, its log is whole and tells each thing once, and its files are those that are listed."""
    artefacts = FolderArtefacts(artefacts_folder(cluster.files))
    for job_id in ids:
        job, entries = cluster.store.get(job_id), cluster.store.events(job_id)
        assert job.state is JobState.SUCCEEDED, job.failure
        assert [entry.sequence for entry in entries] == list(range(1, WHOLE_LOG + 1))
        assert len({entry.event.key for entry in entries}) == WHOLE_LOG
        kept = artefacts.entries(job_id)
        assert {artefact.name for artefact in kept} == {"final.tar", "report.json", "report.html"}
        for artefact in kept:
            with artefacts.open(job_id, artefact) as stream:
                assert hashlib.file_digest(stream, "sha256").hexdigest() == artefact.sha256
    assert {job.id for job in cluster.jobs()} == set(ids)


@pytest.mark.parametrize(
    "victims",
    [("worker-1", "worker-2"), ("server-1", "worker-3"), ("server-1", "server-2")],
    ids="-and-".join,
)
def test_any_two_of_five_processes_die_and_all_jobs_end(cluster, request_body, victims):
    ids = cluster.submit(request_body, 12)
    workers = [name for name in victims if name.startswith("worker")]
    lost = [until(lambda name=name: cluster.at_work(name)) for name in workers]
    for name in victims:
        cluster.members[name].kill()
    died = time.monotonic()
    for job in lost:
        until(lambda job=job: cluster.store.get(job.id).claim > job.claim or cluster.store.get(job.id).state.ended)
        assert time.monotonic() - died < PROMISED_S
    until(lambda: all(job.state.ended for job in cluster.jobs()))
    assert_whole(cluster, ids)
    for name in {"server-1", "server-2"} - set(victims):
        url = cluster.members[name].said
        assert httpx.get(f"{url}/readyz", timeout=PATIENCE_S).status_code == 200
        assert {job["id"] for job in httpx.get(f"{url}/v1/jobs", timeout=PATIENCE_S).json()["items"]} == set(ids)


def test_a_worker_that_was_stopped_comes_back_late_and_changes_nothing(cluster, request_body):
    (job_id,) = cluster.submit(request_body, 1)
    held = until(lambda: next((job for job in cluster.jobs() if job.progress is not None), None))
    name = next(name for name in cluster.members if name.startswith("worker") and cluster.at_work(name))
    (pid,) = descendants(cluster.members[name].process.pid)
    os.kill(pid, signal.SIGSTOP)
    stopped = time.monotonic()
    until(lambda: cluster.store.get(job_id).claim > held.claim)
    assert LEASE_S / 2 < time.monotonic() - stopped < PROMISED_S
    taken = cluster.store.events(job_id)
    os.kill(pid, signal.SIGCONT)
    until(lambda: cluster.store.get(job_id).state.ended)
    assert_whole(cluster, [job_id])
    assert cluster.store.events(job_id)[: len(taken)] == taken
    log = (cluster.members[name].home / "worker.log").read_text()
    assert f"job {job_id} is no longer this worker's" in log
