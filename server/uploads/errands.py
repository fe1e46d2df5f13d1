"""A thread that does what nobody waits for, one after the other."""

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Errands:
    """Calls what it is given in a thread of its own, which ends with the process: what is left must bear that."""

    def __init__(self, name: str) -> None:
        """Do nothing yet.

        Args:
            name: of the thread.
        """
        self._queue: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def __call__(self, errand: Callable[[], None]) -> None:
        """Have `errand` called soon."""
        self._queue.put(errand)

    def _work(self) -> None:
        while True:
            errand = self._queue.get()
            try:
                errand()
            except Exception:
                log.exception("an errand failed: %r", errand)
