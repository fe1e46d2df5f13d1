"""The figure of the result's ranks, layer by layer."""

from html import escape

from shrinkml.report.figures.palette import COLOURS, NEUTRAL
from shrinkml.report.figures.traces import Figure
from shrinkml.report.menu_cells import choice_in_words
from shrinkml.report.record import LayerRow, Report


def ranks_figure(report: Report) -> Figure:
    """Rank of every layer, in front of its break-even rank."""
    layers = list(reversed(report.layers))  # plotly draws the first at the bottom
    names = [escape(layer.name) for layer in layers]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "name": "break-even rank",
                "y": names,
                "x": [layer.break_even_rank for layer in layers],
                "marker": {"color": NEUTRAL, "opacity": 0.3},
                "hovertemplate": "break-even at rank %{x}<extra>%{y}</extra>",
            },
            {
                "type": "bar",
                "orientation": "h",
                "name": "rank",
                "y": names,
                "x": [layer.rank or 0 for layer in layers],
                "width": 0.45,
                "text": [_in_words(layer) for layer in layers],
                "textposition": "outside",
                "cliponaxis": False,
                "marker": {"color": COLOURS[0]},
                "customdata": ["{} x {}".format(*layer.shape) for layer in layers],
                "hovertemplate": "rank %{text}, matrix %{customdata}<extra>%{y}</extra>",
            },
        ],
        "layout": {
            "height": 110 + 26 * len(layers),
            "barmode": "overlay",
            "xaxis": {"title": {"text": "rank"}},
            "yaxis": {"automargin": True},
        },
    }


def _in_words(layer: LayerRow) -> str:
    return choice_in_words(layer.rank, layer.bits, sparsity=layer.sparsity, units=layer.units)
