"""Changes that are decided on what was read, and made only if that is still true: compare and set, tried again."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import IntegrityError

from server.service_errors import StoreBusyError

T = TypeVar("T")

MOST_TRIES = 1000  # of many writers one always wins, so a thousand losses in a row mean that something else is wrong
LONGEST_WAIT_S = 0.02  # between two tries, drawn at random so that writers do not meet again


class LostRaceError(Exception):
    """Somebody else changed what a decision rests on; the transaction is rolled back, and the decision made again."""


def until_won(change: Callable[[], T]) -> T:
    """Return what `change` returns, tried again while somebody else is faster.

    Args:
        change: reads, decides, and writes in one transaction; raises `LostRaceError`, or the database's error that a
            row with the same unique columns is there, if somebody else wrote in between.

    Raises:
        StoreBusyError: it lost every time.
    """
    lost: Exception | None = None
    for _ in range(MOST_TRIES):
        try:
            return change()
        except (LostRaceError, IntegrityError) as error:
            lost = error
        time.sleep(random.uniform(0, LONGEST_WAIT_S))
    raise StoreBusyError(f"others changed the same rows {MOST_TRIES} times in a row; try again later") from lost
