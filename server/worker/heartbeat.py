"""The worker's sign of life: a file of the home that it touches every second, from a thread that only does that."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BEAT_S = 1.0


class Pulse:
    """The file, as who watches sees it: silence is counted from a change that was seen, by a clock that only goes on.

    So a machine that slept, or whose clock was set, is no silence.
    """

    def __init__(self, path: Path) -> None:
        """Watch `path`."""
        self._path = path
        self._seen_ns = 0
        self._since = 0.0

    def reset(self) -> None:
        """Wait for a first sign of life. The file is made now: a full disk then keeps nobody from giving one."""
        with suppress(OSError):
            self._path.touch()
            os.utime(self._path, (0, 0))

    @property
    def silent_s(self) -> float | None:
        """Seconds since the last sign of life was seen; None before the first."""
        try:
            last_ns = self._path.stat().st_mtime_ns
        except OSError:
            return None
        if last_ns == 0:
            return None
        if last_ns != self._seen_ns:
            self._seen_ns, self._since = last_ns, time.monotonic()
        return time.monotonic() - self._since


@contextmanager
def beating(path: Path, *, each_time: Callable[[], None]) -> Iterator[None]:
    """Touch the file `path` every second meanwhile.

    Args:
        path: of the file, which is there.
        each_time: called before each beat, in the same thread.
    """
    done = threading.Event()

    def beat() -> None:
        while True:
            each_time()
            with suppress(OSError):
                os.utime(path)
            if done.wait(BEAT_S):
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
