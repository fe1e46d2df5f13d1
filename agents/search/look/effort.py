"""The effort of a look: how many utterances it hears and how many ranks it measures, so that it costs what it may.

Counted in utterances that pass through the model, as in a search. The rule is our own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from envs.menus import Menu

SHARE = 0.25  # of the utterances that the searches of the step hear, that a look may hear


@dataclass(frozen=True, slots=True)
class Effort:
    """The effort of a look.

    Attributes:
        n_heard: utterances, at most.
        every: entries of a menu, of which one is measured, and the last.
    """

    n_heard: int
    every: int


# From the most to the least. Fewer ranks are measured before fewer utterances are heard: between ranks, losses go by
# powers of the rank, but a loss that is nothing on few utterances is 0 for good.
EFFORTS = (Effort(32, 6), Effort(16, 6), Effort(16, 12), Effort(8, 12), Effort(8, 24))


def measured_ranks(menu: Menu, every: int) -> list[int]:
    """The ranks of `menu` that are measured, ascending."""
    ranks = [rank for rank in menu if rank is not None]
    return sorted({*ranks[::every], *ranks[-1:]})


def affordable(n_measured: Callable[[int], int], searched: int | None) -> Effort:
    """The greatest effort that costs no more than SHARE of a search; the least there is where none does.

    Args:
        n_measured: `Effort.every` -> losses that are measured.
        searched: utterances that the searches hear, all together; None: any effort may be made.
    """
    if searched is None:
        return EFFORTS[0]

    within = (effort for effort in EFFORTS if effort.n_heard * n_measured(effort.every) <= SHARE * searched)
    return next(within, EFFORTS[-1])
