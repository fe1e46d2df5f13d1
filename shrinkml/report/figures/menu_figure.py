"""The figure of the menus: every rank that a search could give to a layer, and what that layer does alone."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from shrinkml.report.figures.palette import COLOURS, NEUTRAL
from shrinkml.report.figures.traces import Figure
from shrinkml.report.menu_cells import Cell, cells_of
from shrinkml.report.record import Report
from shrinkml.report.wording import percent


class Increase(NamedTuple):
    """One level of the figure's scale: WER that compressing one layer alone adds."""

    most: float  # absolute; the level holds what is above the one before
    name: str
    colour: str  # darker is worse, for colour-blind eyes too: ColorBrewer's OrRd
    text: str  # 4.5:1 or more from `colour`


DARK, LIGHT = "#1d2127", "#ffffff"
INCREASES = (
    Increase(0.0, "no more WER", "#fef0d9", DARK),
    Increase(0.003, "up to 0.3 points", "#fdd49e", DARK),
    Increase(0.01, "up to 1 point", "#fdbb84", DARK),
    Increase(0.03, "up to 3 points", "#fc8d59", DARK),
    Increase(0.1, "up to 10 points", "#d7301f", LIGHT),
    Increase(math.inf, "worse", "#7f0000", LIGHT),
)
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # on the axis


def menus_figure(report: Report) -> Figure:
    """Every entry of every layer's menu by the weights that it keeps, coloured by the WER that it adds alone."""
    cells = list(cells_of(report))
    unknown = [cell for cell in cells if cell.wer is None and not cell.chosen]
    measured = [(level, [cell for cell in cells if _level_of(cell) is level]) for level in INCREASES]
    layers = list(dict.fromkeys(escape(cell.layer) for cell in reversed(cells)))  # plotly draws the first at the bottom
    return {
        "data": [
            _dots(unknown),
            *(_squares(level, found) for level, found in measured if found),
            _rings([cell for cell in cells if cell.chosen]),
        ],
        "layout": {
            "height": 130 + 29 * len(layers),
            "xaxis": {
                "type": "log",
                "title": {"text": "weights that a layer keeps, %"},
                "tickvals": [100 * share for share in SHARES],
                "ticktext": [f"{100 * share:g}" for share in SHARES],
            },
            "yaxis": {
                "type": "category",
                "categoryorder": "array",
                "categoryarray": layers,
                "range": [-0.6, len(layers) - 0.4],
                "automargin": True,
            },
        },
    }


def _level_of(cell: Cell) -> Increase | None:
    """The level of the WER that the cell adds; None where it was not judged."""
    added = cell.added
    return None if added is None else next(level for level in INCREASES if added <= level.most)


def _dots(cells: Sequence[Cell]) -> Figure:
    marker = {"size": [_size(cell) for cell in cells], "symbol": "circle-open", "color": NEUTRAL, "opacity": 1}
    return {**_trace("on the menu", cells), "mode": "markers", "marker": marker}


def _size(cell: Cell) -> float:
    """Diameter in pixels: 3 more for every tenfold of the expected loss, 16 for a nat per token."""
    decades = math.log10(max(cell.expected_loss or 0.0, 0.0001))
    return min(18.0, 16.0 + 3.0 * decades)


def _squares(level: Increase, cells: Sequence[Cell]) -> Figure:
    return {
        **_trace(level.name, cells),
        "mode": "markers+text",
        "text": [cell.rank for cell in cells],
        "textfont": {"size": 10, "color": level.text},
        "marker": {"size": 19, "symbol": "square", "color": level.colour, "line": {"width": 1, "color": NEUTRAL}},
    }


def _rings(cells: Sequence[Cell]) -> Figure:
    """The chosen entries, with their ranks where no square shows them."""
    return {
        **_trace("chosen", cells),
        "mode": "markers+text",
        "text": [cell.rank if cell.wer is None else "" for cell in cells],
        "textposition": ["middle right" if cell.rank.startswith("dense") else "middle center" for cell in cells],
        "textfont": {"size": 10},
        "cliponaxis": False,
        "marker": {"size": 24, "symbol": "square-open", "color": COLOURS[0], "line": {"width": 2.5}},
    }


def _trace(name: str, cells: Sequence[Cell]) -> Figure:
    return {
        "type": "scatter",
        "name": name,
        "x": [100 * cell.weights_kept for cell in cells],
        "y": [escape(cell.layer) for cell in cells],
        "customdata": [[cell.rank, _known(cell)] for cell in cells],
        "hovertemplate": "rank %{customdata[0]}, %{x:.3g} % of the weights%{customdata[1]}<extra>%{y}</extra>",
    }


def _known(cell: Cell) -> str:
    wer = [] if cell.wer is None else [f"{percent(cell.wer)} WER"]
    nats = [] if cell.expected_loss is None else [f"{cell.expected_loss:.2g} nats per token expected"]
    return f"; alone: {', '.join([*wer, *nats])}" if wer or nats else ""
