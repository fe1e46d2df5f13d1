"""Retention: the files in a home that nobody needs any more, with the reason of each, and their removal.

These are jobs that ended long ago, and folders that belong to no job. A job that may still run keeps the files of
another one where it names them, as its model or its policy.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from server.artefacts.artefact_store import SAFE_NAME
from server.artefacts.folder_artefacts import FolderArtefacts
from server.home import artefacts_folder, clear_job, job_folder, jobs_folder
from server.jobs.job_state import Job, JobState, now
from server.service_errors import TransitionError, UnknownJobError
from server.stores.job_store import JobStore
from server.worker.job_limits import bytes_of

PAGE = 200  # jobs that are read at once


@dataclass(frozen=True, slots=True)
class Leftover:
    """Files that may go.

    Attributes:
        id: of the job or the upload that left them, known to the service or not.
        why: they may go.
        bytes: that they take on the disk.
        kind: job or upload.
    """

    id: str
    why: str
    bytes: int
    kind: str = "job"


def leftovers(store: JobStore, files: Path, *, older_than: timedelta) -> list[Leftover]:
    """Return what may go in `files`, where those of the jobs in `store` lie.

    That are files of jobs that ended before `older_than`, and of no job.
    """
    folders = _folders(files)  # before the jobs: who is submitted later makes its folder later
    jobs = list(every_job(store))
    needed = _named_by_others(jobs, files)
    old = [job for job in jobs if job.state.ended and now() - _ended_at(job) >= older_than and job.id not in needed]
    reasons = {job.id: f"{job.state} since {_ended_at(job):%Y-%m-%d %H:%M} UTC" for job in old}
    reasons |= {name: "belongs to no job" for name in folders if not _is_known(store, name) and name not in needed}
    return [Leftover(job_id, why, _bytes(files, job_id)) for job_id, why in sorted(reasons.items())]


def remove(store: JobStore, files: Path, job_id: str) -> bool:
    """Remove the files of the job `job_id` and forget it; False where it was resumed or removed meanwhile."""

    def clear() -> None:
        FolderArtefacts(artefacts_folder(files)).clear(job_id)
        clear_job(files, job_id)

    try:
        if _is_known(store, job_id):
            store.delete(job_id, clear)
        else:
            clear()
    except (TransitionError, UnknownJobError):
        return False
    return True


def every_job(store: JobStore) -> Iterator[Job]:
    """Yield the jobs of `store` that this version can read, the newest first."""
    before = None
    while jobs := store.page(limit=PAGE, before=before):
        yield from jobs
        before = jobs[-1].number


def _ended_at(job: Job) -> datetime:
    return job.history[-1].at


def _folders(files: Path) -> set[str]:
    """Return the names of the folders of jobs; what cannot be a job's name was put there by somebody else."""
    parents = [parent for parent in (jobs_folder(files), artefacts_folder(files)) if parent.is_dir()]
    return {path.name for parent in parents for path in parent.iterdir() if SAFE_NAME.fullmatch(path.name)}


def _is_known(store: JobStore, job_id: str) -> bool:
    """Return True for a job of the store, also one that this version cannot read."""
    try:
        store.state(job_id)
    except UnknownJobError:
        return False
    return True


def _named_by_others(jobs: Iterable[Job], files: Path) -> set[str]:
    """Return the ids of jobs whose files another one names that may still run: waits, runs, or can be resumed."""
    return {
        owner
        for job in jobs
        if job.state is not JobState.SUCCEEDED
        for text in _texts(job.spec.model_dump(mode="json"))
        if (owner := _owner(text, files)) not in (None, job.id)
    }


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in the JSON `value`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _owner(path: str, files: Path) -> str | None:
    """Return the id of the job among whose files `path` lies; None where it lies elsewhere, or is no path."""
    found = Path(path).resolve() if path.startswith("/") else None
    for folder in (jobs_folder(files).resolve(), artefacts_folder(files).resolve()):
        if found is not None and folder in found.parents:
            return found.relative_to(folder).parts[0]
    return None


def _bytes(files: Path, job_id: str) -> int:
    return bytes_of(job_folder(files, job_id)) + bytes_of(artefacts_folder(files) / job_id)
