"""Jobs over HTTP through a real server and worker: how they end, and what is left."""

import subprocess
import sys
import time

import pytest

from server.serving import GRACE_S as GRACE_OF_REQUESTS_S
from server.serving import LEAVE_S
from server.worker.cancellation import GRACE_S
from shrinkml.client import Client
from shrinkml.errors import ServiceError


def states_of(job) -> list[str]:
    return [moved["state"] for moved in job.status()["transitions"]]


def test_a_job_runs_to_its_end_and_its_checkpoint_is_downloaded(live, request_body, tmp_path):
    job = live.client.submit(request_body)
    seen = []
    status = job.wait(on_event=seen.append)
    assert states_of(job) == ["queued", "running", "succeeded"]
    assert status["progress"]["fraction"] == 1.0
    assert [entry.sequence for entry in seen] == list(range(1, len(seen) + 1))
    assert len(seen) == 3 + 3 * 12
    assert job.report()["goal_met"]
    assert job.candidates()
    (final,) = job.download(tmp_path / "downloads")
    assert (final / "config.json").read_text() == '{"stage": "search-3"}'


def test_jobs_run_one_after_the_other(live, request_body):
    jobs = [live.client.submit(request_body) for _ in range(2)]
    first, second = [job.wait()["transitions"] for job in jobs]
    assert first[-1]["at"] <= second[1]["at"]


def test_a_cancelled_job_stops_within_seconds_keeps_its_best_and_can_go_on(live, request_body):
    job = live.client.submit({**request_body, "name": "endless"})
    live.wait_for_event(job, "search-2/started")
    assert job.cancel()["state"] == "cancelling"
    assert job.wait()["state"] == "cancelled"
    assert [item["checkpoint"] for item in job.checkpoints()] == ["final"]
    job.resume()
    assert job.wait()["state"] == "succeeded"
    assert states_of(job) == ["queued", "running", "cancelling", "cancelled", "queued", "running", "succeeded"]


def test_a_cancelled_job_that_does_not_heed_it_ends_all_the_same(live, request_body):
    assert GRACE_S < 10, "within ten seconds is the promise"
    job = live.client.submit({**request_body, "name": "stubborn"})
    live.wait_for_event(job, "search-2/started")
    job.cancel()
    assert job.wait()["state"] == "cancelled"
    assert [item["checkpoint"] for item in job.checkpoints()] == ["final"]
    assert live.client.submit(request_body).wait()["state"] == "succeeded"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "failed in stage search-2: no plan fits. Correct the job and submit it again."),
        (
            "surprised",
            "failed in stage search-2: an unforeseen ZeroDivisionError ended the job. The server's worker.log",
        ),
        ("missed", "1.50 short of 3 times. The best model found can be downloaded."),
    ],
)
def test_a_failed_job_says_where_why_and_what_to_do(live, request_body, name, message):
    job = live.client.submit({**request_body, "name": name})
    with pytest.raises(ServiceError) as refusal:
        job.wait()
    assert message in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert [item["checkpoint"] for item in job.checkpoints()] == ["final"]


def test_a_job_that_kills_its_workers_is_given_up(live, request_body):
    job = live.client.submit({**request_body, "name": "crash"})
    with pytest.raises(ServiceError, match="3 workers died at the same point of the job"):
        job.wait()
    assert live.client.submit(request_body).wait()["state"] == "succeeded"


def test_a_second_server_in_the_same_home_is_refused(live):
    program = (
        "from server.serving import serve; from server.settings import Settings\n"
        f"serve(Settings(home={str(live.home)!r}, port=0), on_ready=print)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "HomeInUseError: another server works in" in run.stderr
    assert live.worker_pid()


def test_neither_an_open_stream_nor_a_job_that_heeds_nothing_keeps_the_server_from_leaving_in_time(
    serving, request_body
):
    assert GRACE_OF_REQUESTS_S < LEAVE_S < 20, "within twenty seconds is the promise"
    with serving() as server:
        events = server.client.submit({**request_body, "name": "stubborn"}).events()
        assert any(entry.event.key == "search-2/started" for entry in events)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 20
        assert server.process.returncode == 0


def test_the_http_process_never_loads_torch_ray_or_stable_baselines():
    program = "import sys, server.serving, server.cli.main; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "ray", "stable_baselines3", "sb3_contrib"} & set(run.stdout.split())


def test_a_client_without_a_server_says_how_to_start_one(monkeypatch):
    monkeypatch.setattr("shrinkml.transport.FIRST_WAIT_S", 0.01)
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServiceError, match="shrinkml serve"):
        client.jobs()
