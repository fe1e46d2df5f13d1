"""One attempt at a job, with pipelines of a few lines."""

import json
import logging
import threading
import time

import pytest

from agents.pipeline.folder.run_folder import POLICY
from server.artefacts.artefact_store import ArtefactKind
from server.artefacts.folder_artefacts import FolderArtefacts
from server.jobs.job_state import JobState
from server.service_errors import ClaimLostError
from server.worker import cancellation
from server.worker.folder_lock import locked
from server.worker.job_execution import MAX_STARTS, Workplace, execute
from shrinkml.errors import ManifestError, StoppedError
from shrinkml.events import Event
from shrinkml.report import from_json
from tests.report_example import example


@pytest.fixture
def job(store, spec):
    """A job that waits, the only one."""
    return store.submit(spec, max_queued=9)[0]


@pytest.fixture
def ended():
    """Set where the process would end."""
    return threading.Event()


@pytest.fixture
def artefacts(tmp_path):
    return FolderArtefacts(tmp_path / "artefacts")


@pytest.fixture
def attempt(store, job, artefacts, tmp_path, ended):
    """Takes the job up for a worker and makes an attempt at it with a given pipeline."""

    def make(run_job, **more):
        place = Workplace(
            store=store,
            artefacts=artefacts,
            folder_of=lambda job_id: tmp_path / "job",
            run_job=run_job,
            run_stage=lambda name, stage: stage(),
            record=lambda write: write(),
            end_process=ended.set,
            **more,
        )
        execute(place, store.claim("w"))
        return store.get(job.id)

    return make


def succeed(spec, folder, *, on_event, should_stop, run_stage):
    on_event(Event("stage_started", "search", "search", "Searching."))
    (folder / "checkpoints" / "final").mkdir(parents=True)
    (folder / "checkpoints" / "final" / "config.json").write_text(json.dumps(run_stage("search", lambda: {"n": 1})))
    return from_json(example())


def raising(error):
    def run_job(spec, folder, *, on_event, should_stop, run_stage):
        on_event(Event("stage_started", "search", "search", "Searching."))
        raise error

    return run_job


def unreachable(*_, **__):
    pytest.fail("the pipeline must not run")


def test_a_job_that_comes_through_has_succeeded_and_its_checkpoints_are_packed(attempt, job, artefacts):
    assert attempt(succeed).state is JobState.SUCCEEDED
    assert [artefact.name for artefact in artefacts.entries(job.id)] == ["final.tar"]


def test_an_error_of_ours_speaks_for_itself(attempt):
    failure = attempt(raising(ManifestError("line 3 is broken"))).failure
    assert (failure.code, failure.stage, failure.message) == ("manifest", "search", "line 3 is broken")
    assert "resume the job" in failure.hint


def test_of_any_other_error_only_the_kind_is_told_and_the_log_has_the_rest(attempt, caplog):
    with caplog.at_level(logging.ERROR):
        failure = attempt(raising(ZeroDivisionError("secret path"))).failure
    assert (failure.code, failure.message) == ("internal", "an unforeseen ZeroDivisionError ended the job")
    assert "secret path" in caplog.text


def test_a_stopped_job_was_cancelled(attempt, store, job):
    def run_job(spec, folder, *, on_event, should_stop, run_stage):
        assert not should_stop()
        store.cancel(job.id)
        while not should_stop():
            time.sleep(0.01)
        raise StoppedError("stopped")

    assert attempt(run_job).state is JobState.CANCELLED


def test_a_job_that_ends_while_it_is_being_cancelled_keeps_its_end(attempt, store, job):
    def run_job(spec, folder, *, on_event, should_stop, run_stage):
        store.cancel(job.id)
        return from_json(example())

    assert attempt(run_job).state is JobState.SUCCEEDED


def test_a_job_whose_checkpoints_cannot_be_packed_has_failed(attempt, job, tmp_path):
    (tmp_path / "artefacts" / job.id).mkdir(parents=True)
    (tmp_path / "artefacts" / job.id / "entries").write_text("a file in the way")
    assert attempt(succeed).failure.message == "an unforeseen FileExistsError ended the job"


def test_a_job_that_another_worker_takes_over_is_left_to_it(attempt, store, job, artefacts, caplog):
    def run_job(spec, folder, *, on_event, should_stop, run_stage):
        (folder / "checkpoints" / "final").mkdir(parents=True)
        store.leave(store.get(job.id))
        taken = store.claim("other")
        while not should_stop():  # nobody cancelled: it is told all the same
            time.sleep(0.01)
        with pytest.raises(ClaimLostError, match="taken over"):
            on_event(Event("epoch", "late", "search", "late"))
        assert store.get(job.id) == taken
        raise StoppedError("stopped")

    assert attempt(run_job).worker == "other"
    assert artefacts.entries(job.id) == ()
    assert [entry.event.key for entry in store.events(job.id)] == ["state/1", "state/2"]
    assert "is no longer this worker's" in caplog.text


def test_a_store_that_fails_is_no_failure_of_the_job(attempt, store, job, monkeypatch):
    def run_job(spec, folder, *, on_event, should_stop, run_stage):
        def fail(claim, event):
            raise OSError("the database went away")

        with monkeypatch.context() as patch:
            patch.setattr(store, "log", fail)
            on_event(Event("epoch", "n", "search", "note"))

    with pytest.raises(OSError, match="went away"):
        attempt(run_job)
    assert store.state(job.id) is JobState.RUNNING


def test_a_job_waits_for_the_worker_that_lost_it_to_leave_its_folder(attempt, store, job, tmp_path, caplog):
    started, attempts = threading.Event(), []

    def run_job(spec, folder, *, on_event, should_stop, run_stage):
        started.set()
        return succeed(spec, folder, on_event=on_event, should_stop=should_stop, run_stage=run_stage)

    thread = threading.Thread(target=lambda: attempts.append(attempt(run_job)))
    with locked(tmp_path / "job", meanwhile=pytest.fail):
        thread.start()
        assert not started.wait(0.5)
    thread.join()
    assert attempts[0].state is JobState.SUCCEEDED
    assert "another worker is still at work in" in caplog.text


def test_a_job_whose_workers_keep_dying_is_given_up(attempt, store, job):
    for _ in range(MAX_STARTS):
        store.claim("w")
    failure = attempt(unreachable).failure
    assert failure.code == "worker-lost"
    assert "3 workers died" in failure.message


def test_a_cancelled_job_that_does_not_stop_in_time_ends_with_its_process(attempt, store, job, monkeypatch, ended):
    monkeypatch.setattr(cancellation, "GRACE_S", 0.1)

    def run_job(spec, folder, *, on_event, should_stop, run_stage):
        (folder / "checkpoints" / "stage-2x").mkdir(parents=True)
        store.cancel(job.id)
        assert ended.wait(240), "the process would be gone"
        raise StoppedError("too late")

    attempt(run_job)
    assert store.state(job.id) is JobState.CANCELLED


def test_a_policy_can_be_fetched_while_the_job_runs(attempt, job, artefacts):
    def run_job(spec, folder, *, on_event, should_stop, run_stage):
        (folder / POLICY).write_text("{}")
        on_event(Event("stage_finished", "search/finished", "search", "Searched."))
        assert [artefact.kind for artefact in artefacts.entries(job.id)] == [ArtefactKind.POLICY]
        return from_json(example())

    assert attempt(run_job).state is JobState.SUCCEEDED


def test_the_log_tells_of_stages_files_and_states_with_the_id_of_the_job(attempt, job, caplog):
    caplog.set_level(logging.INFO)
    attempt(succeed)
    assert [message.partition(", ")[0] for message in caplog.messages] == [
        f"job {job.id} is running (attempt 1)",
        f"job {job.id}: Searching.",
        f"job {job.id}: published final.tar",
        f"job {job.id} is succeeded (attempt 1)",
    ]


def test_the_log_tells_of_lost_workers(attempt, store, job, caplog):
    store.claim("w")
    attempt(succeed)
    assert f"job {job.id} lost its worker and goes on (start 2 of 3)" in caplog.messages


def test_a_stopped_job_tells_which_checkpoint_holds_the_best(attempt, store, job):
    def run_job(spec, folder, *, on_event, should_stop, run_stage):
        on_event(Event("stage_started", "search", "search-2x", "Searching."))
        store.cancel(job.id)
        raise StoppedError("stopped; the best so far is the checkpoint 'best-so-far'", best="best-so-far")

    assert attempt(run_job).state is JobState.CANCELLED
    (told,) = (entry.event for entry in store.events(job.id, kind="stopped"))
    assert (told.stage, told.data) == ("search-2x", {"checkpoint": "best-so-far"})
    assert "'best-so-far'" in told.message


def test_a_job_is_run_as_it_was_prepared(attempt, spec):
    ran = []

    def note(spec, folder, **options):
        ran.append(spec.model)
        return succeed(spec, folder, **options)

    attempt(note, prepare=lambda spec: spec.model_copy(update={"model": "/prepared"}))
    assert ran == ["/prepared"]
