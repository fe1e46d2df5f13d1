from datetime import timedelta
from pathlib import Path

import pytest

from server.artefacts.artefact_store import ArtefactKind
from server.home import artefacts_folder, job_folder, jobs_folder
from server.jobs.job_state import Failure, JobState
from server.retention import leftovers, remove
from server.service_errors import UnknownJobError
from server.stores.schema import JOBS
from shrinkml.job import JobSpec

NO_TIME = timedelta(0)
A_DAY = timedelta(days=1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def submit(store, artefacts, home, spec):
    """Makes a job in a state, with files in both of its folders."""

    def submit(state: JobState = JobState.SUCCEEDED, **fields: object) -> str:
        job, _ = store.submit(JobSpec.model_validate(spec.model_dump() | fields), max_queued=99)
        if state is not JobState.QUEUED:
            job = store.claim("w")
        if state is JobState.CANCELLED:
            store.cancel(job.id)
        if state.ended:
            failure = Failure("plan", "search", "no plan", "less") if state is JobState.FAILED else None
            store.finish(job, state, failure=failure)
        job_folder(home, job.id).mkdir(parents=True)
        (job_folder(home, job.id) / "report.json").write_bytes(b"x" * 10_000)
        artefacts.put(job.id, "final.tar", ArtefactKind.CHECKPOINT, lambda stream: stream.write(b"y" * 20_000))
        return job.id

    return submit


def ids(store, home, older_than: timedelta = NO_TIME) -> set[str]:
    return {one.id for one in leftovers(store, home, older_than=older_than)}


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
def test_a_job_that_ended_long_ago_may_go_with_all_its_files(store, home, submit, state):
    job_id = submit(state)
    assert ids(store, home, A_DAY) == set()
    (one,) = leftovers(store, home, older_than=NO_TIME)
    assert one.id == job_id
    assert one.why.startswith(f"{state} since 20")
    assert 30_000 <= one.bytes < 100_000
    assert remove(store, home, job_id)
    assert list(jobs_folder(home).iterdir()) == list(artefacts_folder(home).iterdir()) == []
    with pytest.raises(UnknownJobError):
        store.state(job_id)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
def test_a_job_that_has_not_ended_stays(store, home, submit, state):
    job_id = submit(state)
    assert ids(store, home) == set()
    assert not remove(store, home, job_id)
    assert job_folder(home, job_id).is_dir()


def test_more_jobs_than_are_read_at_once_are_all_looked_at(store, home, submit, monkeypatch):
    monkeypatch.setattr("server.retention.PAGE", 2)
    submitted = {submit() for _ in range(5)}
    assert ids(store, home) == submitted


def test_what_a_job_names_that_may_still_run_stays(store, home, submit):
    first, second = submit(), submit()
    model = str(job_folder(home, first) / "checkpoints" / "final")
    for folder in (Path(model), artefacts_folder(home) / second):
        folder.mkdir(parents=True, exist_ok=True)
    waiting = submit(
        JobState.QUEUED, model=model, data={"dev": str(artefacts_folder(home) / second / "x"), "test": "/t"}
    )
    assert ids(store, home) == set()
    store.cancel(waiting)
    assert ids(store, home) == {waiting}, "it can be resumed, and needs the others then"
    remove(store, home, waiting)
    assert ids(store, home) == {first, second}


def test_a_job_that_has_succeeded_keeps_nothing_of_others(store, home, submit):
    other = submit()
    submit(model=str(job_folder(home, other)))
    assert other in ids(store, home), "its model is needed no more"


def test_files_of_no_job_may_go_at_once(store, home, submit):
    known = submit()
    for folder in (job_folder(home, "lost-1"), artefacts_folder(home) / "lost-2", jobs_folder(home) / "..not ours"):
        folder.mkdir(parents=True)
    found = {one.id: one.why for one in leftovers(store, home, older_than=A_DAY)}
    assert found == dict.fromkeys(("lost-1", "lost-2"), "belongs to no job")
    assert all(remove(store, home, job_id) for job_id in found)
    assert ids(store, home, A_DAY) == set()
    assert job_folder(home, known).is_dir()
    assert (jobs_folder(home) / "..not ours").is_dir()


def test_the_files_of_a_job_that_this_version_cannot_read_stay(store, home, submit, engine):
    job_id = submit()
    with engine.begin() as db:
        db.execute(JOBS.update().values(spec={"from": "the future"}))
    assert ids(store, home) == set()
    assert job_folder(home, job_id).is_dir()


def test_a_home_without_files_has_nothing_to_remove(store, home):
    assert leftovers(store, home, older_than=NO_TIME) == []
