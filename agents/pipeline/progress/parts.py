"""Counts that rise one by one, told a few times only."""

from collections.abc import Callable


def in_parts(n_parts: int, tell: Callable[[int, int, int], None]) -> Callable[[int, int], None]:
    """A listener to counts, so many done of so many; it tells the first in each of `n_parts` parts of the whole.

    Args:
        n_parts: of the whole; a count of all is one part more.
        tell: called with the part, from 0, and the count.
    """
    told: set[int] = set()

    def on_count(n_done: int, n_total: int) -> None:
        part = n_parts * n_done // n_total
        if part not in told:
            told.add(part)
            tell(part, n_done, n_total)

    return on_count
