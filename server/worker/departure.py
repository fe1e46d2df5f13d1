"""The moment from which a worker records nothing: that a job failed while its processes were killed is no news."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Departure:
    """Lets threads record the outcome of what they did, until the process leaves; who comes later waits for ever.

    A job whose processes are killed fails. Recorded, that would be the end of the job; unsaid, the next worker goes on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def record(self, write: Callable[[], T]) -> T:
        """Return what `write` returns; never, once the process leaves."""
        with self._lock:
            return write()

    def begin(self) -> None:
        """Wait for what is being recorded now; nothing is from then on, so end the process soon."""
        self._lock.acquire()
