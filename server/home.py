"""The server's home folder: where the database, the log and each job's files lie, and who may work there."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.service_errors import HomeInUseError

POLL_S = 0.1


def database_url(home: Path) -> str:
    """The database of jobs, events and workflows."""
    return f"sqlite:///{home.resolve() / 'jobs.sqlite'}"


def job_folder(home: Path, job_id: str) -> Path:
    """Where the pipeline keeps the job's stages, checkpoints and report."""
    return home / "jobs" / job_id


def artefact_folder(home: Path, job_id: str) -> Path:
    """Where the job's packed checkpoints lie."""
    return job_folder(home, job_id) / "artefacts"


def worker_log(home: Path) -> Path:
    """What the worker prints."""
    return home / "worker.log"


@contextmanager
def sole_user(home: Path, role: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Holds the home folder's lock for `role`; the system gives it back when the process ends, however that happens.

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
        yield


def _locked(descriptor: int) -> bool:
    try:
        # A POSIX lock: processes forked by the holder do not keep it.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
