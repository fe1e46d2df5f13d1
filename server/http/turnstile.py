"""A bound on what is done at once: who comes when it is reached is sent away, not kept waiting."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from server.service_errors import BusyError, OwnerLimitError


class Turnstile:
    """Lets at most so many in at once, and fewer of one owner; any thread may ask."""

    def __init__(self, most: int, *, most_of_one: int | None = None) -> None:
        """Let at most `most` in, and of each owner `most_of_one`; None for as many as there is room for."""
        self._most = most
        self._most_of_one = most_of_one
        self._lock = threading.Lock()
        self._inside: Counter[str | None] = Counter()

    def enter(self, doing: str, owner: str | None = None) -> None:
        """Take a place, to be given back by `leave`; nobody's places are bounded by all that there are alone.

        Raises:
            BusyError: there is none; the message says that `doing` is what so many do.
            OwnerLimitError: the owner has as many as one may have.
        """
        with self._lock:
            if self._inside.total() >= self._most:
                raise BusyError(f"{self._most} others {doing} just now; try again in a moment")
            if owner is not None and self._most_of_one is not None and self._inside[owner] >= self._most_of_one:
                raise OwnerLimitError(
                    f"{self._most_of_one} clients of {owner} {doing} just now, and the server bears no more of one "
                    "owner; end one of them, or try again later"
                )
            self._inside[owner] += 1

    def leave(self, owner: str | None = None) -> None:
        """Give the place back that `owner` took."""
        with self._lock:
            self._inside[owner] -= 1
            self._inside += Counter()  # keeps those alone that are inside

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
