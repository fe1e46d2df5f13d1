"""A bound on what is done at once: who comes when it is reached is sent away, not kept waiting."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from server.service_errors import BusyError


class Turnstile:
    """Lets at most so many in at once; any thread may ask."""

    def __init__(self, most: int) -> None:
        """Let at most `most` in."""
        self._most = most
        self._free = threading.BoundedSemaphore(most)

    def enter(self, doing: str) -> None:
        """Take a place, to be given back by `leave`.

        Raises:
            BusyError: there is none; the message says that `doing` is what so many do.
        """
        if not self._free.acquire(blocking=False):
            raise BusyError(f"{self._most} others {doing} just now; try again in a moment")

    def leave(self) -> None:
        """Give the place back."""
        self._free.release()

    @contextmanager
    def passed(self, doing: str) -> Iterator[None]:
        """Hold a place meanwhile.

        Raises:
            BusyError: there is none.
        """
        self.enter(doing)
        try:
            yield
        finally:
            self.leave()
