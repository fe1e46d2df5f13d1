"""The memory that this process and everything below it take (Linux; elsewhere unknown)."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from server.worker.processes import descendants

INTERVAL_S = 5.0  # the kernel walks all pages at each look: more often would slow down what is measured


class PeakMemory:
    """The most memory seen so far.

    Attributes:
        bytes: proportional set size of all processes, pages that they share counted once; 0 where it is unknown.
    """

    def __init__(self) -> None:
        """Nothing is seen yet."""
        self.bytes = 0

    def look(self) -> None:
        """Measures now."""
        self.bytes = max(self.bytes, sum(map(_proportional_bytes, [os.getpid(), *descendants(os.getpid())])))


@contextmanager
def peak_memory() -> Iterator[PeakMemory]:
    """Looks every few seconds while what is inside runs, and once at its start."""
    peak, done = PeakMemory(), threading.Event()

    def watch() -> None:
        while not done.wait(INTERVAL_S):
            peak.look()

    peak.look()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def _proportional_bytes(pid: int) -> int:
    with suppress(OSError):  # ended since the listing, or no Linux
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
