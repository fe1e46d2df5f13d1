"""`kill -9` at any moment: the job ends as it would have, nothing is done twice, nobody is left behind."""

from collections import Counter
from pathlib import Path

from server.home import job_folder
from shrinkml.client import JobHandle

WHOLE_LOG = 3 + 3 * (1 + 10 + 1)  # states, and each stage's start, evaluations and end


def evaluations(home: Path, job: JobHandle) -> Counter[str]:
    return Counter((job_folder(home, job.id) / "evaluations.log").read_text().split())


def assert_as_if_nothing_had_happened(home: Path, job: JobHandle) -> None:
    entries = list(job.events())
    assert [entry.sequence for entry in entries] == list(range(1, WHOLE_LOG + 1))
    assert len({entry.event.key for entry in entries}) == WHOLE_LOG
    made = evaluations(home, job)
    assert len(made) == 30
    assert set(made.values()) == {1}


def test_a_job_survives_the_stop_and_the_death_of_its_server(serving, request_body, tmp_path):
    with serving() as server:
        job_id = server.client.submit({**request_body, "name": "spawn"}).id
        server.wait_for_event(server.client.job(job_id), "search-1/4")
    with serving() as server:
        server.wait_for_event(server.client.job(job_id), "search-2/4")
        server.kill(server.process.pid)
        server.wait_for(lambda: not server.family())
    with serving() as server:
        job = server.client.job(job_id)
        assert job.wait()["state"] == "succeeded"
        assert_as_if_nothing_had_happened(tmp_path, job)


def test_a_job_cancelled_while_its_worker_is_dead_ends_all_the_same(serving, request_body):
    with serving() as server:
        job = server.client.submit({**request_body, "name": "endless"})
        server.wait_for_event(job, "search-2/started")
        server.kill_worker()
        job.cancel()
        assert job.wait()["state"] == "cancelled"


def test_what_a_job_started_dies_with_its_worker(serving, request_body):
    with serving() as server:
        job = server.client.submit({**request_body, "name": "spawn"})
        server.wait_for_event(job, "search-2/1")
        server.note_family()
        left = server.family() - {server.process.pid}
        assert len(left) == 2  # the worker, and its child that ignores polite signals
        server.kill_worker()
        server.wait_for(lambda: not left & server.family())
