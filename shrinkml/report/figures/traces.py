"""Pieces that several figures are made of, as plotly's plain JSON."""

from collections.abc import Sequence
from typing import Any

Figure = dict[str, Any]  # plotly's own JSON: a figure, a trace, an axis or a shape

LEAST_WER = 0.0005  # where a WER of zero is drawn: a logarithmic axis has none
TICKS = [step * 10.0**power for power in range(-3, 5) for step in (1, 2, 3, 5)]


def scatter(name: str, points: Sequence[tuple[int, float]], *, scale: float) -> Figure:
    """A scatter trace of (count, WER) points: counts times `scale`, WER in percent."""
    return {
        "type": "scatter",
        "name": name,
        "x": [scale * count for count, _ in points],
        "y": [100 * max(wer, LEAST_WER) for _, wer in points],
    }


def logarithmic_axis(title: str) -> Figure:
    """An axis whose ticks are plain numbers."""
    return {
        "type": "log",
        "title": {"text": title},
        "tickvals": TICKS,
        "ticktext": [f"{tick:g}" for tick in TICKS],
    }
