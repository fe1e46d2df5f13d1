"""The service in hard times: full disks, lost folders, stopped workers, crowds. It says so, and nothing is lost."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest

from server.home import database, require_space
from server.limits import Limits
from server.serving import GRACE_S
from shrinkml.client import Client
from shrinkml.errors import ServiceError

# A disk of 24 MB in a namespace of its own: `sh -c` mounts it where the home is to be, then becomes the server.
SMALL_DISK = 'mkdir -p "$0" && mount -t tmpfs -o size=24m tmpfs "$0" && exec "$@"'
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
HANGING_S = 60.0  # beside other work, too, whatever takes so long has been waited for


def has_namespaces() -> bool:
    return (
        shutil.which("unshare") is not None
        and subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode == 0
    )


def processor_s(pid: int) -> float:
    """Seconds of the processor that the process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def starts(home: Path) -> int:
    """The number of times that the only job was taken up without telling anything new."""
    with closing(sqlite3.connect(home / "jobs.sqlite")) as database:
        return database.execute("SELECT starts FROM jobs").fetchone()[0]


def many_lines(data_folder, n: int) -> dict[str, str]:
    """Manifests of `n` lines each, about the few recordings that there are."""
    found = {}
    for split in ("train", "dev", "test"):
        lines = (data_folder / f"{split}.jsonl").read_text()
        (data_folder / f"many-{split}.jsonl").write_text(lines * (n // 2))
        found[split] = f"many-{split}.jsonl"
    return found


def test_a_submission_costs_the_server_little_however_long_the_manifests_are(live, request_body, data_folder):
    body = {**request_body, "data": many_lines(data_folder, 18_000)}
    live.client.submit(body).cancel()  # what the first one imports
    many_lines(data_folder, 18_000)  # new files: manifests that were checked are remembered
    before = processor_s(live.process.pid)
    live.client.submit(body).cancel()
    assert processor_s(live.process.pid) - before < 1.0


def test_health_is_told_while_a_crowd_submits(live, request_body, data_folder):
    body = {**request_body, "name": "crowd", "data": many_lines(data_folder, 18_000)}

    def submit(_) -> httpx.Response:
        return httpx.post(f"{live.url}/v1/jobs", json=body, timeout=240)

    live.wait_until_well()
    with ThreadPoolExecutor(45) as crowd:
        answers = [crowd.submit(submit, i) for i in range(45)]
        while not all(answer.done() for answer in answers):
            began = time.monotonic()
            assert live.readiness().status_code in (200, 503)
            assert time.monotonic() - began < HANGING_S
    found = [answer.result() for answer in answers]
    accepted = [answer.json()["id"] for answer in found if answer.status_code == 202]
    assert 1 <= len(accepted) <= 17, "as many as may wait, and one that runs"
    for answer in found:
        if answer.status_code != 202:
            assert answer.json()["type"].rpartition(":")[2] in ("queue-full", "busy")
            assert int(answer.headers["Retry-After"]) >= 1
    for job_id in accepted:
        live.end(job_id)


@pytest.mark.slow
def test_a_server_that_is_stopped_while_a_crowd_submits_loses_and_doubles_nothing(serving, request_body, data_folder):
    body = {**request_body, "name": "steady", "data": many_lines(data_folder, 2_000)}
    limits = Limits(jobs_waiting=1000, admissions=1000, free_gb=0)

    def submit(key: str) -> httpx.Response | None:
        try:
            return httpx.post(f"{server.url}/v1/jobs", json=body, headers={"Idempotency-Key": key}, timeout=240)
        except httpx.TransportError:
            return None

    keys = [f"k{i}" for i in range(60)]
    with serving(limits=limits) as server, ThreadPoolExecutor(len(keys)) as crowd:
        answers = dict(zip(keys, [crowd.submit(submit, key) for key in keys], strict=True))
        server.wait_for(lambda: any(answer.done() for answer in answers.values()))
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < HANGING_S + GRACE_S
        found = {key: answer.result() for key, answer in answers.items()}
    told = {answer.status_code for answer in found.values() if answer is not None}
    assert told <= {202, 503}, "no client is told that its job failed to be queued when it was"
    with serving(limits=limits) as server:
        for key in keys:
            again = submit(key)
            if found[key] is not None and found[key].status_code == 202:
                assert again.json()["id"] == found[key].json()["id"]
        assert len(server.client.jobs(limit=200)) == len(keys)


@pytest.mark.slow
def test_health_is_told_where_every_descriptor_would_be_taken_by_idle_connections(serving):
    few = ["sh", "-c", 'ulimit -n 256 && exec "$@"', "sh"]
    with serving(within=few) as server:
        server.wait_until_well()
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        idle = [socket.create_connection(address) for _ in range(600)]
        for connection in idle[::3]:
            connection.sendall(b"GET /v1/ver")
        assert server.readiness().status_code == 200
        for connection in idle:
            connection.close()


@pytest.mark.slow
def test_four_restarts_in_order_within_one_stage_cost_no_worker(serving, request_body):
    with serving() as server:
        job_id = server.client.submit({**request_body, "name": "steady"}).id
        server.wait_for_event(server.client.job(job_id), "search-2/started")
    for _ in range(4):
        with serving() as server:
            server.wait_for(lambda: starts(server.home) > 0)
        assert starts(server.home) == 0, "the worker took it back when it left"
    with serving() as server:
        job = server.client.job(job_id)
        server.wait_until_well()
        job.cancel()
        assert job.wait()["state"] == "cancelled"


@pytest.mark.slow
def test_a_worker_that_is_silent_for_shorter_than_is_allowed_is_left_alone(serving):
    with serving(limits=Limits(silence_s=30, free_gb=0)) as server:
        server.wait_until_well()
        worker = server.worker_pid()
        os.kill(worker, signal.SIGSTOP)
        server.wait_for(lambda: server.readiness().status_code == 503)
        os.kill(worker, signal.SIGCONT)
        server.wait_until_well()
        assert (server.worker_pid(), server.readiness().json()["worker"]["restarts"]) == (worker, 0)


def test_so_many_clients_follow_as_the_operator_allows(serving, request_body):
    with serving(limits=Limits(streams=1, free_gb=0)) as server:
        path = f"{server.url}/v1/jobs/{server.client.submit({**request_body, 'name': 'endless'}).id}/events"
        headers = {"Accept": "text/event-stream"}
        with httpx.stream("GET", path, headers=headers, timeout=240) as first:
            lines = first.iter_lines()
            next(lines)
            assert httpx.get(path, headers=headers, timeout=240).status_code == 503


@pytest.mark.slow
def test_a_worker_that_was_stopped_is_told_of_and_replaced_and_its_job_can_be_cancelled(serving, request_body):
    with serving(limits=Limits(silence_s=15, free_gb=0)) as server:
        job = server.client.submit({**request_body, "name": "steady"})
        server.wait_for_event(job, "search-2/started")
        os.kill(server.worker_pid(), signal.SIGSTOP)
        sick = server.wait_for(lambda: (found := server.readiness()).status_code == 503 and found.json())
        (why,) = [check["why"] for check in sick["checks"] if not check["ok"]]
        assert sick["worker"]["silent_s"] > 10 or "being started" in why or "is starting" in why
        job.cancel()
        assert job.wait()["state"] == "cancelled"
        assert server.readiness().json()["worker"]["restarts"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["home", "database"])
def test_a_server_whose_home_is_gone_says_so_and_takes_on_nothing(serving, request_body, lost):
    with serving(worker=None) as server:
        server.wait_until_well()
        worker = server.worker_pid()
        if lost == "home":
            shutil.rmtree(server.home)
        else:
            database(server.home).unlink()
        for answer in (server.readiness(), httpx.post(f"{server.url}/v1/jobs", json=request_body)):
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:shrinkml:problem:home-lost")
        server.wait_for(lambda: not os.path.exists(f"/proc/{worker}"))
        if lost == "home":
            assert not server.home.exists(), "no new one is made where nobody looks for it"


@pytest.mark.slow
@pytest.mark.skipif(not has_namespaces(), reason="needs mounts in a namespace of its own")
def test_a_disk_that_fills_is_told_leaves_nothing_half_written_and_the_job_goes_on(serving, request_body, tmp_path):
    home = tmp_path / "small"
    with serving(home=home, within=[*NAMESPACE, "sh", "-c", SMALL_DISK, str(home)]) as server:
        job = server.client.submit({**request_body, "name": "full"})
        with pytest.raises(ServiceError, match=r"failed in stage search-2: no space is left where .* Free space"):
            job.wait()
        assert job.status()["failure"]["code"] == "disk-full"
        assert server.readiness().status_code == 200
        job.resume()
        assert job.wait()["state"] == "succeeded"
        assert {item["checkpoint"] for item in job.checkpoints()} == {"final"}


def test_a_job_is_not_accepted_where_too_little_space_is_free(http, services, server, request_body, tmp_path):
    server[1].state.services = replace(services, check_space=partial(require_space, tmp_path, 1e9))
    response = http.post("/v1/jobs", json=request_body)
    assert (response.status_code, response.json()["type"]) == (507, "urn:shrinkml:problem:disk-full")
    assert "GB are free where the server keeps its files, and it wants 1e+09" in response.json()["detail"]


@pytest.mark.slow
def test_a_job_ends_when_its_time_is_over_and_keeps_what_it_has(serving, request_body):
    with serving(limits=Limits(job_hours=1e-4, free_gb=0)) as server:
        job = server.client.submit({**request_body, "name": "steady"})
        with pytest.raises(ServiceError, match=r"failed in stage search-2: the job ran for 0.0001 hours"):
            job.wait()
        assert job.status()["failure"]["code"] == "time-limit"
        assert {item["checkpoint"] for item in job.checkpoints()} == {"final"}


@pytest.mark.slow
def test_a_job_is_followed_across_a_restart_of_the_server(serving, request_body, data_folder):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    seen: list[str] = []
    with serving(port=port) as server:
        job_id = server.client.submit({**request_body, "name": "endless"}).id

        def follow() -> None:
            with Client(f"http://127.0.0.1:{port}") as client:
                seen.extend(entry.event.key for entry in client.job(job_id).events())

        thread = threading.Thread(target=follow)
        thread.start()
        server.wait_for_event(server.client.job(job_id), "search-2/started")
    time.sleep(1)  # the follower finds nobody there
    with serving(port=port) as server:
        server.wait_until_well()
        server.client.job(job_id).cancel()
        thread.join()
    assert "search-2/started" in seen
    assert seen[-1].startswith("state/")
    assert len(seen) == len(set(seen))


def test_a_job_that_has_succeeded_leaves_no_more_than_can_be_downloaded(live, request_body):
    job = live.client.submit(request_body)
    job.wait()
    folder = live.home / "jobs" / job.id
    live.wait_for(lambda: not (folder / "checkpoints").exists())
    assert {item["checkpoint"] for item in job.checkpoints()} == {"final"}
    job.delete()
    assert not folder.exists()
    assert not (live.home / "artefacts" / job.id).exists()
