"""Uploads that nobody needs any more, and files that belong to none: for the operator, with the reason of each."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from server.jobs.job_state import Job, JobState, now
from server.retention import Leftover, every_job
from server.service_errors import BusyError, TransitionError, UnknownUploadError
from server.stores.job_store import JobStore
from server.uploads.references import uploads_of
from server.uploads.upload_folder import UploadFolder
from server.uploads.upload_state import Upload, UploadState
from server.uploads.uploads import Uploads
from server.worker.job_limits import bytes_of

KIND = "upload"


def require_unneeded(jobs: JobStore, upload: Upload) -> None:
    """Return where no job needs `upload` any more.

    Raises:
        TransitionError: one does that waits, runs, or can be resumed.
    """
    for job in every_job(jobs):
        if _may_run(job) and upload.id in uploads_of(job.spec):
            raise TransitionError(
                f"job {job.id} is {job.state} and needs upload {upload.id}; delete the job first, when it has ended"
            )


def unused_uploads(uploads: Uploads, jobs: JobStore, *, older_than: timedelta) -> list[Leftover]:
    """Return the uploads that no job has needed since `older_than`, nor may need, and files of no upload."""
    there = uploads.folder.names()  # before the rows: who begins an upload later makes its files later
    known = uploads.rows.all()
    last_use, needed = _uses(every_job(jobs))
    found = []
    for upload in known:
        since = max(upload.created_at, last_use.get(upload.id, upload.created_at))
        if upload.state is not UploadState.CHECKING and upload.id not in needed and now() - since >= older_than:
            found.append(Leftover(upload.id, _why(upload, since), bytes_of(_files(upload, uploads.folder)), KIND))
    return found + list(_strays(uploads.folder, there, known))


def remove_upload(uploads: Uploads, jobs: JobStore, leftover: Leftover) -> bool:
    """Remove what `unused_uploads` has found; False where it is needed now, or was removed meanwhile."""
    if "/" in leftover.id:
        uploads.folder.remove_stray(leftover.id)
        return True
    try:
        upload = uploads.get(leftover.id)
        require_unneeded(jobs, upload)
        uploads.delete(upload)
    except (TransitionError, UnknownUploadError, BusyError):
        return False
    return True


def _may_run(job: Job) -> bool:
    return job.state is not JobState.SUCCEEDED


def _uses(jobs: Iterable[Job]) -> tuple[dict[str, datetime], set[str]]:
    """Return upload -> when a job that names it came into its state last; and the uploads that one may still need."""
    last: dict[str, datetime] = {}
    needed: set[str] = set()
    for job in jobs:
        named = uploads_of(job.spec)
        needed |= named if _may_run(job) else set()
        for upload_id in named:
            last[upload_id] = max(job.history[-1].at, last.get(upload_id, job.history[-1].at))
    return last, needed


def _why(upload: Upload, since: datetime) -> str:
    words = {
        UploadState.RECEIVING: "never arrived whole, begun",
        UploadState.REFUSED: "refused, begun",
        UploadState.READY: f"{upload.kind} {upload.name}, unused since",
    }
    return f"{words[upload.state]} {since:%Y-%m-%d %H:%M} UTC"


def _files(upload: Upload, folder: UploadFolder) -> Path:
    return folder.content(upload.sha256) if upload.state is UploadState.READY else folder.archive(upload.id)


def _strays(folder: UploadFolder, there: dict[str, set[str]], known: Iterable[Upload]) -> Iterator[Leftover]:
    ids, sums = {upload.id for upload in known}, {upload.sha256 for upload in known}
    for place, names in there.items():
        for name in sorted(names - (sums if place == "content" else ids)):
            yield Leftover(f"{place}/{name}", "belongs to no upload", bytes_of(folder.stray(f"{place}/{name}")), KIND)
