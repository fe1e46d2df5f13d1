"""The report's figures, as plotly's plain JSON (data and layout).

Everything that comes from a user's model or job is escaped: plotly shows some HTML tags in labels.
"""

from collections.abc import Callable, Mapping

from shrinkml.report.figures.menu_figure import menus_figure
from shrinkml.report.figures.plans_figure import plans_figure
from shrinkml.report.figures.ranks_figure import ranks_figure
from shrinkml.report.figures.search_figure import search_figure
from shrinkml.report.figures.steps_figure import steps_figure
from shrinkml.report.figures.traces import Figure
from shrinkml.report.record import Report

# By the name that the page knows them by.
FIGURES: Mapping[str, Callable[[Report], Figure]] = {
    "plans": plans_figure,
    "steps": steps_figure,
    "ranks": ranks_figure,
    "menus": menus_figure,
    "search": search_figure,
}


def figures(report: Report) -> dict[str, Figure]:
    """Every figure of FIGURES by its name."""
    return {name: draw(report) for name, draw in FIGURES.items()}
