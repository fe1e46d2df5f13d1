"""The server's home folder: places of the database, the logs and the jobs' files, and the lock on it."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.limits import GB
from server.service_errors import DiskFullError, HomeInUseError, HomeLostError

POLL_S = 0.1


def database_url(home: Path) -> str:
    """Return the address of the database of jobs, events and workflows."""
    return f"sqlite:///{home.resolve() / 'jobs.sqlite'}"


def jobs_folder(home: Path) -> Path:
    """Return the folder that holds a folder per job."""
    return home / "jobs"


def job_folder(home: Path, job_id: str) -> Path:
    """Return the folder in which the pipeline keeps the job's stages, checkpoints and report."""
    return jobs_folder(home) / job_id


def clear_job(home: Path, job_id: str) -> None:
    """Remove the files that the pipeline keeps of the job."""
    shutil.rmtree(job_folder(home, job_id), ignore_errors=True)


def artefacts_folder(home: Path) -> Path:
    """Return the folder of all files that jobs leave for download."""
    return home / "artefacts"


def facts(home: Path) -> Path:
    """Return the file of what jobs found out about models and speech, for later jobs."""
    return home / "facts.sqlite"


def pulse(home: Path) -> Path:
    """Return the file that the worker touches while it lives."""
    return home / "worker.pulse"


def server_log(home: Path) -> Path:
    """Return the log of the server."""
    return home / "server.log"


def worker_log(home: Path) -> Path:
    """Return the log of the worker: all that it prints."""
    return home / "worker.log"


def require_space(home: Path, free_gb: float) -> None:
    """Return where `free_gb` (10^9 bytes) are free on the disk of `home`.

    Raises:
        DiskFullError: they are not.
    """
    free = shutil.disk_usage(home).free / GB
    if free < free_gb:
        raise DiskFullError(
            f"{free:.1f} GB are free where the server keeps its files, and it wants {free_gb:g}; "
            "delete jobs that are no longer needed, or lower the limit free_gb"
        )


@contextmanager
def sole_user(home: Path, role: str, *, wait_s: float = 0.0) -> Iterator["Lock"]:
    """Hold the home folder's lock for `role`; the system gives it back when the process ends, however that happens.

    Raises:
        HomeInUseError: another process holds it, and still did after `wait_s`.
    """
    home.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    with (home / f"{role}.lock").open("w") as file:
        while not _locked(file.fileno()):
            if time.monotonic() >= deadline:
                raise HomeInUseError(f"another {role} works in {home}; stop it, or choose another folder with --home")
            time.sleep(POLL_S)
        yield Lock(home / f"{role}.lock", os.fstat(file.fileno()).st_ino)


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that is held on a home.

    Attributes:
        path: of its file.
        inode: of the file that is locked; another one there is that of another home.
    """

    path: Path
    inode: int

    def require_home(self) -> None:
        """Return where the home is still there.

        Raises:
            HomeLostError: it was removed or replaced, and what is written to its files is lost.
        """
        try:
            there = self.path.stat().st_ino == self.inode
        except OSError:
            there = False
        if not there:
            raise HomeLostError(
                f"the folder {self.path.parent} of this server is gone; stop the server and start it again"
            )


def _locked(descriptor: int) -> bool:
    try:
        # A POSIX lock: processes forked by the holder do not keep it.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
