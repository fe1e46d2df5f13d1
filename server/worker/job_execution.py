"""One attempt at a job, as the worker makes it: the pipeline's run, told to the store."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agents.pipeline.folder.run_folder import remove_partial
from server.artefacts.artefact_store import ArtefactStore
from server.jobs.failures import failure_of, is_disk_full, lost_worker, missed_goal
from server.jobs.job_state import Job, JobState
from server.service_errors import ClaimLostError
from server.stores.job_store import JobStore
from server.worker.attempt import Attempt, Record
from server.worker.cancellation import Watch, cancellation_of
from server.worker.folder_lock import locked
from server.worker.job_limits import CheckLimits
from server.worker.publishing import publish_policy, publish_run, slim
from shrinkml.errors import StoppedError
from shrinkml.events import Event, OnEvent, ShouldStop
from shrinkml.job import JobSpec
from shrinkml.report import Report

MAX_STARTS = 3  # workers that a job may cost without telling anything new, before it is given up
log = logging.getLogger(__name__)

StageResult = dict[str, Any]  # JSON, as the stage's folder and the database keep it


class RunStage(Protocol):
    """Makes a stage durable."""

    def __call__(self, name: str, stage: Callable[[], StageResult], /) -> StageResult:
        """Return what `stage` returns, or what it returned when the stage `name` was finished before."""
        ...


class RunJob(Protocol):
    """The pipeline: runs or resumes the job in `folder`."""

    def __call__(
        self, spec: JobSpec, folder: Path, *, on_event: OnEvent, should_stop: ShouldStop, run_stage: RunStage
    ) -> Report:
        """Return the report."""
        ...


@dataclass(frozen=True, slots=True)
class Workplace:
    """Everything that a worker runs jobs with.

    Attributes:
        store: the jobs.
        artefacts: receives the files that a job makes for download.
        folder_of: gives the pipeline's folder of a job, by its id.
        run_job: the pipeline.
        run_stage: makes a stage durable.
        record: calls what it is given, which records how a job ended, unless the worker is about to leave.
        end_process: called when a cancelled job does not end in time, once it is recorded as cancelled.
        prepare: gives a job as it is to be run; raises where it must not be.
        watch_limits: gives what raises once a job exceeds a limit.
    """

    store: JobStore
    artefacts: ArtefactStore
    folder_of: Callable[[str], Path]
    run_job: RunJob
    run_stage: RunStage
    record: Record
    end_process: Callable[[], None]
    prepare: Callable[[JobSpec], JobSpec] = lambda spec: spec
    watch_limits: Callable[[Job], CheckLimits] = lambda job: lambda: None


def execute(place: Workplace, job: Job) -> None:
    """Run the job, which was just taken up, to its end, however it ends, and publish what it made.

    An error that the pipeline raises becomes the job's failure; one of the store is raised. Where another worker takes
    the job over meanwhile, nothing more is written about it.
    """
    attempt = Attempt(place.store, job, place.record)
    try:
        with locked(place.folder_of(job.id), meanwhile=attempt.state):
            _execute(place, attempt)
    except ClaimLostError as error:
        log.warning("%s", error)


def _execute(place: Workplace, attempt: Attempt) -> None:
    job = attempt.job
    if job.starts > MAX_STARTS:
        log.error("job %s cost %d workers at the same point and is given up", job.id, MAX_STARTS)
        attempt.finish(JobState.FAILED, lost_worker(job, MAX_STARTS))
        return
    if job.starts > 1:
        log.warning("job %s lost its worker and goes on (start %d of %d)", job.id, job.starts, MAX_STARTS)
    _run(place, attempt)


def _run(place: Workplace, attempt: Attempt) -> None:
    job, watch = attempt.job, Watch()
    try:
        report = _report_of(place, attempt, watch)
    except StoppedError as stopped:
        attempt.require_whole()
        _tell_best(attempt, stopped)
        _finish_stopped(attempt, watch)
    except Exception as error:
        attempt.require_whole()
        log.exception("job %s failed", job.id)
        if is_disk_full(error):
            remove_partial(place.folder_of(job.id))  # first: what is recorded needs space as well
        attempt.finish(JobState.FAILED, failure_of(error, attempt.now()))
    else:
        missed = missed_goal(report)
        attempt.finish(JobState.FAILED if missed else JobState.SUCCEEDED, missed)
        if not missed:
            slim(place.folder_of(job.id))


def _tell_best(attempt: Attempt, stopped: StoppedError) -> None:
    """Put in the log of a stopped job which checkpoint holds the best so far."""
    stage = attempt.now().stage
    data = {"checkpoint": stopped.best}
    attempt.conclude(
        Event("stopped", f"stopped/{attempt.job.attempt}", stage.name if stage else "", str(stopped), data)
    )


def _finish_stopped(attempt: Attempt, watch: Watch) -> None:
    """End a job that was stopped: cancelled, or failed where a limit stopped it."""
    if watch.exceeded is None:
        attempt.finish(JobState.CANCELLED)
    else:
        attempt.finish(JobState.FAILED, failure_of(watch.exceeded, attempt.now()))


def _report_of(place: Workplace, attempt: Attempt, watch: Watch) -> Report:
    """Return the report of the job, run now; whatever it raises, what it made is published."""
    job = attempt.job
    folder = place.folder_of(job.id)
    spec = place.prepare(job.spec)

    def publish() -> None:
        attempt.require_held()  # nothing is published of a job that another worker has taken over
        publish_run(folder, place.artefacts, job.id)

    def give_up() -> None:
        log.warning("job %s does not stop; ending its process", job.id)
        try:
            publish()
            _finish_stopped(attempt, watch)
        finally:
            place.end_process()

    def on_event(event: Event) -> None:
        if event.kind == "stage_finished":
            publish_policy(folder, place.artefacts, job.id)
        if event.kind in ("stage_started", "stage_finished"):
            log.info("job %s: %s", job.id, event.message)
        attempt.log(event)

    try:
        limits = place.watch_limits(job)
        with cancellation_of(attempt, watch, check_limits=limits, overdue=give_up):
            return place.run_job(
                spec, folder, on_event=on_event, should_stop=watch.should_stop, run_stage=place.run_stage
            )
    finally:
        publish()
