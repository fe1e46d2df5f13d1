"""The effort of a look: how many utterances it hears and how many ranks it measures, so that it costs what it may.

Counted in utterances that pass through the model, as in a search. The rule is our own.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from envs.menus import Menu

SHARE = 0.25  # of the utterances that the searches of the step hear, that a look may hear


@dataclass(frozen=True, slots=True)
class Effort:
    """The effort of a look.

    Attributes:
        n_heard: utterances, at most.
        n_ranks: of each layer that are measured.
    """

    n_heard: int
    n_ranks: int


# From the most to the least. Fewer ranks are measured before fewer utterances are heard: other ranks follow from the
# energy that they leave out, but a loss that is nothing on few utterances is 0 for good.
EFFORTS = (Effort(32, 5), Effort(16, 5), Effort(16, 3), Effort(8, 3), Effort(8, 2))


def measured_ranks(menu: Menu, n: int) -> list[int]:
    """At most `n` ranks of `menu`, ascending, where its Chebyshev nodes lie.

    What follows from those errs least, also towards both ends: over layers of the bundled CTC model by a fifth of a
    loss (mean of the logarithms) from 5 ranks, and by a third from 2.
    """
    ranks = [rank for rank in menu if rank is not None]
    if len(ranks) <= n:
        return ranks
    nodes = ((1.0 - math.cos((2 * i + 1) * math.pi / (2 * n))) / 2.0 for i in range(n))
    return [ranks[round(node * (len(ranks) - 1))] for node in nodes]


def affordable(n_measured: Callable[[int], int], searched: int | None) -> Effort:
    """The greatest effort that costs no more than SHARE of a search; the least there is where none does.

    Args:
        n_measured: `Effort.n_ranks` -> losses that are measured.
        searched: utterances that the searches hear, all together; None: any effort may be made.
    """
    if searched is None:
        return EFFORTS[0]

    within = (effort for effort in EFFORTS if effort.n_heard * n_measured(effort.n_ranks) <= SHARE * searched)
    return next(within, EFFORTS[-1])
