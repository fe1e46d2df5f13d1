"""The home folder of a server or worker: places of the database, the logs and the jobs' files, and the lock on it.

The jobs' files lie in the home, or in a folder that several servers and workers share.
"""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.limits import GB
from server.service_errors import DiskFullError, HomeInUseError, HomeLostError

POLL_S = 0.1


def database(home: Path) -> Path:
    """Return the file of jobs, events and tokens, where no other database is named."""
    return home.resolve() / "jobs.sqlite"


def database_url(home: Path, database_elsewhere: str | None = None) -> str:
    """Return the address of the database: `database_elsewhere`, or that of the file in the home."""
    return database_elsewhere or f"sqlite:///{database(home)}"


def jobs_folder(files: Path) -> Path:
    """Return the folder that holds a folder per job."""
    return files / "jobs"


def job_folder(files: Path, job_id: str) -> Path:
    """Return the folder in which the pipeline keeps the job's stages, checkpoints and report."""
    return jobs_folder(files) / job_id


def clear_job(files: Path, job_id: str) -> None:
    """Remove the files that the pipeline keeps of the job."""
    shutil.rmtree(job_folder(files, job_id), ignore_errors=True)


def artefacts_folder(files: Path) -> Path:
    """Return the folder of all files that jobs leave for download."""
    return files / "artefacts"


def uploads_folder(home: Path) -> Path:
    """Return the folder of all models and data sets that were uploaded."""
    return home / "uploads"


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


def worker_id(home: Path) -> str:
    """Return the id of the worker that works in `home`, made with the first one.

    Who is started again there has the id of the one that died, and with it the jobs that this one had.
    """
    file = home / "worker.id"
    if not file.is_file():
        partial = file.with_name(f"{file.name}.partial")
        partial.write_text(secrets.token_hex(8))
        os.replace(partial, file)
    return file.read_text()


def require_space(files: Path, free_gb: float) -> None:
    """Return where `free_gb` (10^9 bytes) are free on the disk of `files`.

    Raises:
        DiskFullError: they are not.
    """
    files.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(files).free / GB
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
        yield Lock(home, {home / f"{role}.lock": os.fstat(file.fileno()).st_ino})


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that is held on a home.

    Attributes:
        home: the folder.
        inodes: file in it that is open -> its number; a file there with another number is not the one that is open.
    """

    home: Path
    inodes: dict[Path, int]

    def watch(self, file: Path) -> None:
        """Miss `file`, which is open from now on, as well if it goes."""
        self.inodes[file] = file.stat().st_ino

    def require_home(self) -> None:
        """Return where the home and its open files are still there.

        Raises:
            HomeLostError: one was removed or replaced, and what is written to it is lost.
        """
        if not all(_is_there(file, inode) for file, inode in list(self.inodes.items())):
            lost = "the folder" if not self.home.is_dir() else "a file in the folder"
            raise HomeLostError(f"{lost} {self.home} of this server is gone; stop the server and start it again")


def _is_there(file: Path, inode: int) -> bool:
    try:
        return file.stat().st_ino == inode
    except OSError:
        return False


def _locked(descriptor: int) -> bool:
    try:
        # A POSIX lock: processes forked by the holder do not keep it.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
