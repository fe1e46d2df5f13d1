"""One attempt at a job, as the worker makes it: the pipeline's run, told to the store."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from server.artefacts.archive import pack
from server.jobs.job_state import Failure, Job, JobState
from server.stores.job_store import JobStore
from server.worker.cancellation import heard_cancellation
from shrinkml.errors import (
    AudioError,
    CheckpointError,
    ConfigError,
    ManifestError,
    PlanError,
    ScoringError,
    ShrinkError,
    StoppedError,
    UnknownNameError,
)
from shrinkml.events import OnEvent, ShouldStop
from shrinkml.job import JobSpec
from shrinkml.report.wording import goal_in_words

MAX_STARTS = 3  # workers that a job may cost without telling anything new, before it is given up
log = logging.getLogger(__name__)

Record = Callable[[Callable[[], object]], object]
RunStage = Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]

_CORRECT_AND_SUBMIT = "Correct the job and submit it again."
_CORRECT_AND_RESUME = "Correct the files, then resume the job: it goes on from its last finished stage."
HINTS: dict[type[Exception], str] = {
    AudioError: _CORRECT_AND_RESUME,
    ManifestError: _CORRECT_AND_RESUME,
    ScoringError: _CORRECT_AND_RESUME,
    CheckpointError: _CORRECT_AND_RESUME,
    ConfigError: _CORRECT_AND_SUBMIT,
    PlanError: _CORRECT_AND_SUBMIT,
    UnknownNameError: _CORRECT_AND_SUBMIT,
}
RESUME = "Resume the job: it goes on from its last finished stage."
GENTLER = (
    "The best model found can be downloaded. For more, submit the job with more stages or evaluations, more epochs of "
    "fine-tuning, or a gentler goal."
)
SEE_LOG = "The server's worker.log holds the details. Resume the job to go on from its last finished stage."


class RunJob(Protocol):
    """The pipeline: runs or resumes the job in `folder`."""

    def __call__(
        self, spec: JobSpec, folder: Path, *, on_event: OnEvent, should_stop: ShouldStop, run_stage: RunStage
    ) -> dict[str, Any]:
        """The report."""
        ...


def execute(
    store: JobStore,
    job_id: str,
    attempt: int,
    *,
    folder: Path,
    artefacts: Path,
    run_job: RunJob,
    run_stage: RunStage,
    record: Record,
    end_process: Callable[[], None],
) -> None:
    """Runs the job to its end, whatever that is, and leaves its checkpoints in `artefacts`.

    Does nothing where the attempt is over already. What the job raises becomes its failure.

    Args:
        store: where the job is.
        job_id: the job.
        attempt: which attempt at it.
        folder: the pipeline's.
        artefacts: where its checkpoints are packed.
        run_job: the pipeline.
        run_stage: makes a stage durable.
        record: calls what it is given, which records how the job ended, unless the worker is about to leave.
        end_process: called when a cancelled job does not end in time, once it is recorded as cancelled.
    """
    job = store.start(job_id, attempt)
    if job is None:
        return

    def finish(state: JobState, failure: Failure | None = None) -> None:
        record(lambda: store.finish(job_id, state, failure=failure))

    if job.starts > MAX_STARTS:
        finish(JobState.FAILED, _lost_worker(job))
        return

    def give_up() -> None:
        log.warning("job %s does not stop; ending its process", job_id)
        pack(folder / "checkpoints", artefacts)
        finish(JobState.CANCELLED)
        end_process()

    try:
        try:
            with heard_cancellation(store, job_id, overdue=give_up) as should_stop:
                report = run_job(
                    job.spec,
                    folder,
                    on_event=lambda event: store.log(job_id, event),
                    should_stop=should_stop,
                    run_stage=run_stage,
                )
        finally:
            pack(folder / "checkpoints", artefacts)
    except StoppedError:
        finish(JobState.CANCELLED)
    except Exception as error:
        log.exception("job %s failed", job_id)
        finish(JobState.FAILED, failure_of(error, store.get(job_id)))
    else:
        missed = None if report["goal_met"] else Failure("goal-missed", "", goal_in_words(report), GENTLER)
        finish(JobState.FAILED if missed else JobState.SUCCEEDED, missed)


def failure_of(error: Exception, job: Job) -> Failure:
    """What the audience is told of `error`: a ShrinkError speaks for itself, of anything else only the kind is told."""
    stage = job.stage.name if job.stage else ""
    if isinstance(error, ShrinkError):
        hint = next((hint for kind, hint in HINTS.items() if isinstance(error, kind)), RESUME)
        return Failure(code_of(type(error)), stage, str(error), hint)
    return Failure("internal", stage, f"an unforeseen {type(error).__name__} ended the job", SEE_LOG)


def code_of(kind: type[Exception]) -> str:
    """The stable name of a kind of error: QueueFullError is "queue-full"."""
    words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__)
    return words.removeprefix("-").removesuffix("-error")


def _lost_worker(job: Job) -> Failure:
    stage = job.stage.name if job.stage else ""
    message = f"{MAX_STARTS} workers died at the same point of the job, perhaps for want of memory"
    return Failure("worker-lost", stage, message, SEE_LOG)
