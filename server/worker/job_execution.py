"""One attempt at a job, as the worker makes it: the pipeline's run, told to the store."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agents.pipeline.folder.run_folder import remove_partial
from server.artefacts.artefact_store import ArtefactStore
from server.jobs.failures import failure_of, is_disk_full, lost_worker, missed_goal
from server.jobs.job_state import Failure, Job, JobState
from server.service_errors import UnreadableJobError
from server.stores.job_store import JobStore
from server.worker.cancellation import Watch, cancellation_of
from server.worker.job_limits import CheckLimits
from server.worker.publishing import publish_policy, publish_run, slim
from shrinkml.errors import StoppedError
from shrinkml.events import Event, OnEvent, ShouldStop
from shrinkml.job import JobSpec
from shrinkml.report import Report

MAX_STARTS = 3  # workers that a job may cost without telling anything new, before it is given up
log = logging.getLogger(__name__)

StageResult = dict[str, Any]  # JSON, as the stage's folder and the database keep it
Record = Callable[[Callable[[], object]], object]


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


def execute(place: Workplace, job_id: str, attempt: int) -> None:
    """Run the job to its end, however it ends, and publish what it made.

    Does nothing where the attempt is over already, or this version cannot read the job. An error that the pipeline
    raises becomes the job's failure.
    """
    try:
        job = place.store.start(job_id, attempt)
    except UnreadableJobError as error:
        log.error("%s", error)
        return
    if job is None:
        log.info("job %s: attempt %d is over, nothing to run", job_id, attempt)
    elif job.starts > MAX_STARTS:
        log.error("job %s cost %d workers at the same point and is given up", job_id, MAX_STARTS)
        _finish(place, job_id, JobState.FAILED, lost_worker(job, MAX_STARTS))
    else:
        if job.starts > 1:
            log.warning("job %s lost its worker and goes on (start %d of %d)", job_id, job.starts, MAX_STARTS)
        _run(place, job)


def _run(place: Workplace, job: Job) -> None:
    watches: list[Watch] = []
    try:
        report = _report_of(place, job, watches)
    except StoppedError as stopped:
        _tell_best(place, job, stopped)
        _finish_stopped(place, job.id, watches[0])
    except Exception as error:
        log.exception("job %s failed", job.id)
        if is_disk_full(error):
            remove_partial(place.folder_of(job.id))  # first: what is recorded needs space as well
        _finish(place, job.id, JobState.FAILED, failure_of(error, place.store.get(job.id)))
    else:
        missed = missed_goal(report)
        _finish(place, job.id, JobState.FAILED if missed else JobState.SUCCEEDED, missed)
        if not missed:
            slim(place.folder_of(job.id))


def _tell_best(place: Workplace, job: Job, stopped: StoppedError) -> None:
    """Put in the log of a stopped job which checkpoint holds the best so far."""
    data = {"checkpoint": stopped.best}
    stage = place.store.get(job.id).stage
    event = Event("stopped", f"stopped/{job.attempt}", stage.name if stage else "", str(stopped), data)
    place.record(lambda: place.store.log(job.id, event))


def _finish_stopped(place: Workplace, job_id: str, watch: Watch) -> None:
    """End a job that was stopped: cancelled, or failed where a limit stopped it."""
    if watch.exceeded is None:
        _finish(place, job_id, JobState.CANCELLED)
    else:
        _finish(place, job_id, JobState.FAILED, failure_of(watch.exceeded, place.store.get(job_id)))


def _report_of(place: Workplace, job: Job, watches: list[Watch]) -> Report:
    """Return the report of the job, run now; whatever it raises, what it made is published.

    The eye on the job is put in `watches`.
    """
    folder = place.folder_of(job.id)
    spec = place.prepare(job.spec)

    def publish() -> None:
        publish_run(folder, place.artefacts, job.id)

    def give_up(watch: Watch) -> None:
        log.warning("job %s does not stop; ending its process", job.id)
        publish()
        _finish_stopped(place, job.id, watch)
        place.end_process()

    def on_event(event: Event) -> None:
        if event.kind == "stage_finished":
            publish_policy(folder, place.artefacts, job.id)
        if event.kind in ("stage_started", "stage_finished"):
            log.info("job %s: %s", job.id, event.message)
        place.store.log(job.id, event)

    try:
        limits = place.watch_limits(job)
        with cancellation_of(place.store, job.id, check_limits=limits, overdue=give_up) as watch:
            watches.append(watch)
            return place.run_job(
                spec, folder, on_event=on_event, should_stop=watch.should_stop, run_stage=place.run_stage
            )
    finally:
        publish()


def _finish(place: Workplace, job_id: str, state: JobState, failure: Failure | None = None) -> None:
    place.record(lambda: place.store.finish(job_id, state, failure=failure))
