"""Pieces of figures show fractions in percent."""

from shrinkml.report.figures import figures
from shrinkml.report.figures.traces import LEAST_WER
from shrinkml.report.report_json import from_json
from tests.shrinkml.report.figures.traces_of import trace


def test_a_wer_of_zero_is_drawn_where_a_logarithmic_axis_can_show_it(report):
    report["trials"][0]["wer"] = 0.0
    assert min(trace(figures(from_json(report))["plans"], "ppo")["y"]) == 100 * LEAST_WER
