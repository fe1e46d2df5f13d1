"""Every layer shows its rank."""

from shrinkml.report.figures import figures
from shrinkml.report.report_json import from_json
from tests.shrinkml.report.figures.traces_of import trace


def test_layers_are_listed_from_the_input_on_top_with_dense_ones_named(report):
    ranks = trace(figures(from_json(report))["ranks"], "rank")
    assert ranks["y"][-1] == "encoder.0.weight_ih_l0"
    assert (ranks["y"][0], ranks["text"][0], ranks["x"][0]) == ("output.weight", "dense", 0)
