"""Errors as failures of a job: code, message, and a hint for the user."""

import errno
import re
from collections.abc import Mapping

from server.jobs.job_state import Failure, Job
from server.service_errors import DiskFullError, DiskLimitError, ForbiddenPathError, TimeLimitError
from shrinkml.errors import (
    AudioError,
    CheckpointError,
    ConfigError,
    ManifestError,
    PlanError,
    ScoringError,
    ShrinkError,
    UnknownNameError,
)
from shrinkml.job import printable
from shrinkml.report import Report
from shrinkml.report.goal_words import goal_in_words

_CORRECT_AND_SUBMIT = "Correct the job and submit it again."
_CORRECT_AND_RESUME = "Correct the files, then resume the job: it goes on from its last finished stage."
HINTS: Mapping[type[Exception], str] = {
    AudioError: _CORRECT_AND_RESUME,
    ManifestError: _CORRECT_AND_RESUME,
    ScoringError: _CORRECT_AND_RESUME,
    CheckpointError: _CORRECT_AND_RESUME,
    ConfigError: _CORRECT_AND_SUBMIT,
    PlanError: _CORRECT_AND_SUBMIT,
    UnknownNameError: _CORRECT_AND_SUBMIT,
    ForbiddenPathError: _CORRECT_AND_RESUME,
    TimeLimitError: "The best so far can be downloaded. Resume the job to give it as much time once more.",
    DiskLimitError: "Ask for fewer steps or exports; or raise the server's limit job_gb and resume the job.",
}
FREE_AND_RESUME = (
    "Free space where the server keeps its files (`shrinkml delete` removes jobs), then resume the job: it goes on "
    "from its last finished stage."
)
FULL = re.compile("no space left on device|disk is full|disk quota exceeded", re.IGNORECASE)
RESUME = "Resume the job: it goes on from its last finished stage."
GENTLER = (
    "The best model found can be downloaded. For more, submit the job with more steps or evaluations, more epochs of "
    "fine-tuning, or a gentler goal."
)
SEE_LOG = "The server's worker.log holds the details. Resume the job to go on from its last finished stage."


def code_of(kind: type[Exception]) -> str:
    """Return the stable name of a kind of error: QueueFullError is "queue-full"."""
    words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__)
    return words.removeprefix("-").removesuffix("-error")


def failure_of(error: Exception, job: Job) -> Failure:
    """Return what users are told of `error`: a ShrinkError speaks for itself, of others only the kind is told."""
    if is_disk_full(error):
        message = (
            str(error) if isinstance(error, DiskFullError) else "no space is left where the server keeps its files"
        )
        return Failure("disk-full", _stage(job), message, FREE_AND_RESUME)
    if isinstance(error, ShrinkError):
        hint = next((hint for kind, hint in HINTS.items() if isinstance(error, kind)), RESUME)
        return Failure(code_of(type(error)), _stage(job), printable(str(error)), hint)
    return Failure("internal", _stage(job), f"an unforeseen {type(error).__name__} ended the job", SEE_LOG)


def is_disk_full(error: BaseException | None) -> bool:
    """Return True where `error` comes of a full disk: some libraries say so in words only."""
    while error is not None:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or isinstance(error, DiskFullError) or FULL.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def lost_worker(job: Job, n_lost: int) -> Failure:
    """Return the failure of a job that ended `n_lost` workers without telling anything new."""
    message = f"{n_lost} workers died at the same point of the job, perhaps for want of memory"
    return Failure("worker-lost", _stage(job), message, SEE_LOG)


def missed_goal(report: Report) -> Failure | None:
    """Return the failure of a job whose `report` says that it missed its goal; None where it met it."""
    return None if report.goal_met else Failure("goal-missed", "", goal_in_words(report), GENTLER)


def _stage(job: Job) -> str:
    return job.stage.name if job.stage else ""
