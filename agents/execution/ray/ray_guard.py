"""Ends what a killed process leaves of Ray on its machine.

Ray's agents outlive a killed driver by a minute, and nobody removes its files. So every driver starts a guard
(`python -m agents.execution.ray.ray_guard FOLDER`), which sleeps until its standard input closes: however the driver
ends. Then it kills every process that has a file of Ray's folder open, and removes the folder.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "shrink-ray-"  # short: Ray's socket names are limited to 107 bytes
PATIENCE_S = 10.0  # for killed processes to go
STALE_S = 10.0  # older folders that nobody uses lost their guard, too


@contextmanager
def guarded_folder() -> Iterator[Path]:
    """A new folder for Ray's files; it goes, with all other processes that use it, at the end or when this one dies."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    with _open(folder):  # as long as this process lives, the folder is in use
        remove_stale(folder.parent, older_than_s=STALE_S)
        command = [sys.executable, "-m", "agents.execution.ray.ray_guard", str(folder)]
        # A session of its own: Ctrl-C in the terminal is for the driver.
        with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True):
            yield folder


def processes_using(folder: Path) -> list[int]:
    """Ids of the processes that have a file in `folder` open (Linux; none are found elsewhere)."""
    return [int(files.parent.name) for files in Path("/proc").glob("[0-9]*/fd") if _holds(files, folder)]


def clear(folder: Path, *, spared: int) -> None:
    """Kills the processes that use `folder`, except `spared`, and removes it."""
    deadline = time.monotonic() + PATIENCE_S
    while (users := set(processes_using(folder)) - {spared}) and time.monotonic() < deadline:
        for pid in users:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def remove_stale(parent: Path, *, older_than_s: float) -> None:
    """Removes Ray's folders in `parent` that are so old and that no process uses."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # removed by somebody else, or another user's
            if time.time() - folder.stat().st_mtime > older_than_s and not processes_using(folder):
                shutil.rmtree(folder)


@contextmanager
def _open(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield
    finally:
        os.close(descriptor)


def _holds(files: Path, folder: Path) -> bool:
    """Return True where one of the open `files` (/proc/<pid>/fd) of a process lies in `folder`."""
    with suppress(OSError):  # ended since it was listed, or another user's
        for file in files.iterdir():
            with suppress(OSError):
                if file.readlink().is_relative_to(folder):
                    return True
    return False


if __name__ == "__main__":
    driver = os.getppid()  # keeps its own log open
    sys.stdin.read()
    clear(Path(sys.argv[1]), spared=driver)
