"""The limits on a running job: its time and its files."""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from server.home import artefacts_folder, job_folder
from server.jobs.job_state import Job, JobState, now
from server.limits import GB, Limits
from server.service_errors import DiskLimitError, TimeLimitError

CheckLimits = Callable[[], None]  # raises a JobLimitError where a limit is exceeded


def watch_limits(files: Path, limits: Limits, job: Job) -> CheckLimits:
    """Return what raises once the running `job`, whose files lie in `files`, exceeds its time or its space."""
    since = max(moved.at for moved in job.history if moved.state is JobState.RUNNING)

    def check() -> None:
        if now() - since > timedelta(hours=limits.job_hours):
            raise TimeLimitError(f"the job ran for {limits.job_hours:g} hours, the most that this server gives one")
        taken = bytes_of(job_folder(files, job.id)) + bytes_of(artefacts_folder(files) / job.id)
        if taken > limits.job_gb * GB:
            raise DiskLimitError(
                f"the job's files take {taken / GB:.3g} GB, and this server gives {limits.job_gb:g} GB to one"
            )

    return check


def bytes_of(folder: Path) -> int:
    """Return the bytes that `folder`, or the files in it, take on the disk."""
    total = 0 if folder.is_dir() or not folder.exists() else folder.stat().st_blocks * 512
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # removed meanwhile
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
    return total
