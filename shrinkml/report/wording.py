"""Figures of a report as words: fractions, intervals, sizes and counts."""

from collections.abc import Iterable


def percent(fraction: float) -> str:
    """0.0123 as "1.23 %"."""
    return f"{100 * fraction:.2f} %"


def points(fraction: float) -> str:
    """An absolute difference of two fractions: 0.003 as "0.30 points"."""
    return f"{100 * fraction:.2f} points"


def wer_change(difference: float) -> str:
    """0.003 as "0.30 points more WER"."""
    if difference == 0:
        return "the same WER"
    return f"{points(abs(difference))} {'more' if difference > 0 else 'less'} WER"


def interval(bounds: Iterable[float]) -> str:
    """(0.01, 0.02) as "1.00 to 2.00 %"."""
    least, most = bounds
    return f"{100 * least:.2f} to {100 * most:.2f} %"


def megabytes(n_bytes: int) -> str:
    """2_500_000 as "2.50 MB"."""
    return f"{n_bytes / 1e6:.2f} MB"


def threads_in_words(count: int) -> str:
    """2 as "2 threads"."""
    return "1 thread" if count == 1 else f"{count} threads"
