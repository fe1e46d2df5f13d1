"""What a search could choose for each layer, and what each layer does alone: a figure, its sentence and its table."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from shrinkml.report.palette import COLOURS, NEUTRAL, Figure
from shrinkml.report.wording import percent


class Harm(NamedTuple):
    """A step of the figure's scale: what compressing one layer alone adds to the WER."""

    most: float  # absolute; the step holds what is above the one before
    name: str
    colour: str  # darker is worse, for colour-blind eyes too: ColorBrewer's OrRd
    text: str  # 4.5:1 or more from `colour`


class Cell(NamedTuple):
    """An entry of a layer's menu."""

    layer: str
    rank: str  # or "dense"
    weights_kept: float
    divergence: float | None  # nats per utterance that the outputs are expected to move, the layer alone compressed
    wer: float | None  # the same layer alone, judged; None where it was not, as of the last entry
    start: float  # WER with no layer compressed
    chosen: bool


DARK, LIGHT = "#1d2127", "#ffffff"
HARMS = (
    Harm(0.0, "no more WER", "#fef0d9", DARK),
    Harm(0.003, "up to 0.3 points", "#fdd49e", DARK),
    Harm(0.01, "up to 1 point", "#fdbb84", DARK),
    Harm(0.03, "up to 3 points", "#fc8d59", DARK),
    Harm(0.1, "up to 10 points", "#d7301f", LIGHT),
    Harm(math.inf, "worse", "#7f0000", LIGHT),
)
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # on the axis


def menus_figure(report: Mapping[str, Any]) -> Figure:
    """Every entry of every layer's menu by the weights that it keeps, coloured by the WER that it adds alone."""
    cells = list(_cells(report))
    unknown = [cell for cell in cells if cell.wer is None and not cell.chosen]
    measured = [(harm, [cell for cell in cells if _harm(cell) is harm]) for harm in HARMS]
    layers = list(dict.fromkeys(escape(cell.layer) for cell in reversed(cells)))  # plotly draws the first at the bottom
    return {
        "data": [
            _dots(unknown),
            *(_squares(harm, found) for harm, found in measured if found),
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


def alone_in_words(report: Mapping[str, Any]) -> str:
    """Which layer alone does the most harm of those measured, and is expected to at the chosen ranks; what was cut."""
    return " ".join(filter(None, (_measured_in_words(report), _expected_in_words(report), _cut_in_words(report))))


def _measured_in_words(report: Mapping[str, Any]) -> str:
    measured = [(cell, cell.wer) for cell in _cells(report) if cell.wer is not None]
    if not measured:
        return "No strategy of this job measured layers alone; with knapsack among search.baselines, one does."
    worst, wer = max(measured, key=lambda pair: pair[1] - pair[0].start)
    n_harmless = sum(wer <= cell.start for cell, wer in measured)
    return (
        f"{len(measured)} plans compressed one layer alone. {n_harmless} of them added no WER; most was added by "
        f"{worst.layer} at rank {worst.rank}: {percent(wer)} from {percent(worst.start)}."
    )


def _expected_in_words(report: Mapping[str, Any]) -> str:
    chosen = [(cell, cell.divergence) for cell in _cells(report) if cell.chosen and cell.divergence]
    if not chosen:
        return ""
    worst, nats = max(chosen, key=lambda pair: pair[1])
    return (
        f"Of the chosen ranks, {worst.layer}'s {worst.rank} is expected to move the outputs most: {nats:.2g} nats per "
        "utterance, alone."
    )


def _cut_in_words(report: Mapping[str, Any]) -> str:
    n_cut = sum(len(row.get("cut", ())) for row in report["menus"])  # older reports lack it
    if not n_cut:
        return ""
    n_left = sum(len(row["entries"]) - 1 for row in report["menus"])
    return (
        f"{n_cut} of {n_left + n_cut} ranks left the menus before the search: alone, each was expected to move the "
        "outputs more than a good plan does in all its layers, or no less than a lower rank of the same layer."
    )


def menu_cells(report: Mapping[str, Any]) -> list[tuple[str, list[Cell]]]:
    """Each layer with its menu."""
    menus: dict[str, list[Cell]] = {}
    for cell in _cells(report):
        menus.setdefault(cell.layer, []).append(cell)
    return list(menus.items())


def _cells(report: Mapping[str, Any]) -> Iterator[Cell]:
    for row in report["menus"]:
        *others, last = row["entries"]
        for entry in row["entries"]:
            yield Cell(
                layer=row["name"],
                rank="dense" if entry["rank"] is None else str(entry["rank"]),
                weights_kept=entry["weights_kept"],
                divergence=entry["divergence_alone"],
                wer=entry["wer_alone"] if entry in others else None,
                start=last["wer_alone"],
                chosen=entry["chosen"],
            )


def _harm(cell: Cell) -> Harm | None:
    if cell.wer is None:
        return None
    return next(harm for harm in HARMS if cell.wer - cell.start <= harm.most)


def _dots(cells: Sequence[Cell]) -> Figure:
    marker = {"size": [_size(cell) for cell in cells], "symbol": "circle-open", "color": NEUTRAL, "opacity": 1}
    return {**_trace("on the menu", cells), "mode": "markers", "marker": marker}


def _size(cell: Cell) -> float:
    """Diameter in pixels: 3 more for every tenfold of what the outputs are expected to move, 13 for a nat."""
    decades = math.log10(max(cell.divergence or 0.0, 0.001))
    return min(18.0, 13.0 + 3.0 * decades)


def _squares(harm: Harm, cells: Sequence[Cell]) -> Figure:
    return {
        **_trace(harm.name, cells),
        "mode": "markers+text",
        "text": [cell.rank for cell in cells],
        "textfont": {"size": 10, "color": harm.text},
        "marker": {"size": 19, "symbol": "square", "color": harm.colour, "line": {"width": 1, "color": NEUTRAL}},
    }


def _rings(cells: Sequence[Cell]) -> Figure:
    """The chosen entries, with their ranks where no square shows them."""
    return {
        **_trace("chosen", cells),
        "mode": "markers+text",
        "text": [cell.rank if cell.wer is None else "" for cell in cells],
        "textposition": ["middle right" if cell.rank == "dense" else "middle center" for cell in cells],
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
    nats = [] if cell.divergence is None else [f"{cell.divergence:.2g} nats expected"]
    return f"; alone: {', '.join([*wer, *nats])}" if wer or nats else ""
