"""The layout of a matrix under a choice: the lines of weights that are stored of it, and their bytes. Loads no torch.

Of a sparse matrix, the weights of a line that are not zero are stored side by side, as many of each line, and a bit for
each place tells where they belong.

Weights of few bits are whole numbers that groups of neighbours in a line multiply by a scale of their own: one number
for a run of 64 at most, eight bits of a logarithm each.

References:
    Rouhani et al. 2023, Microscaling Data Formats for Deep Learning, arXiv:2310.10537: scales of groups that are
        exponents of eight bits. Ours have eight steps to an octave instead of one.
"""

from typing import NamedTuple

from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice

ROUNDED_BITS = range(2, 9)  # of weights that are stored as whole numbers
GROUP = 64  # neighbours in a line that share a scale, at most,
WHOLE_LINES = 8  # where a weight has fewer bits than these; else the whole line does


class Lines(NamedTuple):
    """Weights of one stored matrix: rows, or columns where those are what scales belong to.

    Attributes:
        n: lines.
        length: weights in each.
    """

    n: int
    length: int


def narrowed(choice: Choice, n_out: int, n_in: int) -> tuple[int, int]:
    """The rows and columns that `choice` leaves of a matrix [n_out, n_in].

    Raises:
        PlanError: it leaves more than there are.
    """
    left = n_out if choice.outputs is None else choice.outputs, n_in if choice.inputs is None else choice.inputs
    if left[0] > n_out or left[1] > n_in:
        raise PlanError(f"units {list(left)} are left of a matrix [{n_out}, {n_in}]; allowed: no more than it has")
    return left


def lines_of(choice: Choice, n_out: int, n_in: int) -> tuple[Lines, ...]:
    """The lines of a matrix [n_out, n_in] under `choice`, with its zeros: rows, or the directions of both factors."""
    if choice.dropped:
        return ()
    n_out, n_in = narrowed(choice, n_out, n_in)
    if choice.rank is None:
        return (Lines(n_out, n_in),)
    n_rows = n_out - choice.rank if choice.identity else n_out
    return Lines(choice.rank, n_rows), Lines(choice.rank, n_in)


def n_kept(length: int, sparsity: float) -> int:
    """The weights of a line of that length that are stored; the others are zero."""
    return length - int(sparsity * length)


def stored_lines(choice: Choice, n_out: int, n_in: int) -> tuple[Lines, ...]:
    """The lines of a matrix [n_out, n_in] under `choice` as they are stored, without zeros."""
    whole = lines_of(choice, n_out, n_in)
    return tuple(Lines(part.n, n_kept(part.length, choice.sparsity)) for part in whole)


def index_bytes(choice: Choice, n_out: int, n_in: int) -> int:
    """The bytes that tell which rows belong to an identity block, and which weights are stored: a bit for each."""
    rows = -(-n_out // 8) if choice.identity else 0
    places = (-(-part.n * part.length // 8) for part in lines_of(choice, n_out, n_in))
    return rows + (sum(places) if choice.sparsity else 0)


def group_length(length: int, bits: int) -> int:
    """The weights that share a scale in a line of that length."""
    return length if bits >= WHOLE_LINES else min(GROUP, length)


def n_scales(lines: Lines, bits: int) -> int:
    """The scales of weights of so many bits, one byte each; none where they are no whole numbers."""
    if bits not in ROUNDED_BITS or not lines.length:
        return 0
    return lines.n * -(-lines.length // group_length(lines.length, bits))
