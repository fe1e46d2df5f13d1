"""What is drawn can be told apart and read, in light and dark."""

import pytest

from shrinkml.report.figures import figures
from shrinkml.report.figures.menu_figure import INCREASES
from shrinkml.report.figures.palette import COLOURS, NEUTRAL, SYMBOLS
from shrinkml.report.report_json import from_json
from tests.shrinkml.report.figures.traces_of import trace

LIGHT_PAGE, DARK_PAGE = "#ffffff", "#14161a"  # of page.html


def luminance(colour):
    """As WCAG 2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colour", [*COLOURS, NEUTRAL])
@pytest.mark.parametrize("page", [LIGHT_PAGE, DARK_PAGE])
def test_every_colour_stands_out_from_both_backgrounds(colour, page):
    assert contrast(colour, page) >= 3


def test_every_colour_has_a_symbol_of_its_own():
    assert len(set(COLOURS)) == len(set(SYMBOLS)) == len(COLOURS)


def test_ranks_can_be_read_on_every_level_of_increase_and_worse_is_darker():
    brightness = [luminance(level.colour) for level in INCREASES]
    assert brightness == sorted(brightness, reverse=True)
    assert min(contrast(level.colour, level.text) for level in INCREASES) >= 4.5


def test_a_strategy_has_one_colour_in_all_figures(report):
    drawn = figures(from_json(report))
    assert (
        trace(drawn["plans"], "greedy")["marker"]["color"] == trace(drawn["search"], "greedy, seed 0")["line"]["color"]
    )
