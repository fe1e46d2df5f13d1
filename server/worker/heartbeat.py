"""The worker's signs of life, each from a thread that only gives them.

To the process that started it the worker shows a file of the home that it touches every second; to all others, the
store.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BEAT_S = 1.0
STORE_BEAT_S = 3.0  # a few of them may be lost until others take the worker for dead
log = logging.getLogger(__name__)


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

    def beat() -> None:
        each_time()
        with suppress(OSError):
            os.utime(path)

    with _repeated(beat, BEAT_S, "heartbeat"):
        yield


@contextmanager
def beating_in_store(beat: Callable[[], None]) -> Iterator[None]:
    """Call `beat`, which tells the store, every few seconds meanwhile; the store may be away for a while."""

    def try_to_beat() -> None:
        try:
            beat()
        except Exception as error:  # whatever it is, it may be over the next time
            log.warning("no sign of life could be given to the store: %s", error)

    with _repeated(try_to_beat, STORE_BEAT_S, "heartbeat in the store"):
        yield


@contextmanager
def _repeated(act: Callable[[], None], every_s: float, name: str) -> Iterator[None]:
    """Call `act` at once and then every `every_s` seconds meanwhile, in a thread called `name`."""
    done = threading.Event()

    def repeat() -> None:
        act()
        while not done.wait(every_s):
            act()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
