"""The folder of a job, for one worker at a time, on all machines that share it."""

import fcntl
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "worker.lock"
POLL_S = 0.1
log = logging.getLogger(__name__)


@contextmanager
def locked(folder: Path, *, meanwhile: Callable[[], object]) -> Iterator[None]:
    """Hold the lock of `folder`, which is made where it is missing.

    Who holds it may have lost the job: a worker that was stopped has it until it ends. The system takes it from a
    process that ends, however that happens.

    Args:
        folder: of the job.
        meanwhile: called again and again while another process holds the lock; what it raises ends the waiting.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        told = False
        while not _taken(lock.fileno()):
            if not told:
                log.warning("another worker is still at work in %s; waiting until it has ended", folder)
                told = True
            meanwhile()
            time.sleep(POLL_S)
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
