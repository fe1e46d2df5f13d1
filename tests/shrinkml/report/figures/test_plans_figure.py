"""Every judged plan is a point, and the best of each size a line."""

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shrinkml.report.figures import figures
from shrinkml.report.figures.plans_figure import pareto_front
from shrinkml.report.report_json import from_json
from tests.shrinkml.report.figures.traces_of import trace


def test_every_judged_plan_is_a_point(report):
    plans = figures(from_json(report))["plans"]
    strategies = {trial["strategy"] for trial in report["trials"]}
    assert sum(len(trace(plans, strategy)["x"]) for strategy in strategies) == len(report["trials"])


def test_a_plan_that_was_stopped_early_is_hollow_and_not_on_the_front(report):
    best = min(report["trials"], key=lambda trial: trial["wer"])
    assert 100 * best["wer"] in trace(figures(from_json(report))["plans"], "Pareto front")["y"]
    best["heard"] = 0.25
    plans = figures(from_json(report))["plans"]
    assert 100 * best["wer"] not in trace(plans, "Pareto front")["y"]
    points = trace(plans, best["strategy"])
    hollow = [y for y, symbol in zip(points["y"], points["marker"]["symbol"], strict=True) if symbol.endswith("-open")]
    assert hollow == [100 * best["wer"]]
    go.Figure(plans)  # raises ValueError on an unknown symbol


def test_the_original_is_marked_at_its_size_and_error_on_the_proxy_set(report):
    mark = trace(figures(from_json(report))["plans"], "original (on the proxy set)")
    assert mark["x"] == [pytest.approx(5.412334)]
    assert mark["y"] == [pytest.approx(0.58)]


plans = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50).map(lambda n: n / 100)), min_size=1, max_size=30)


@given(plans)
def test_no_plan_beats_the_pareto_front(points):
    front = pareto_front(points)
    for parameters, wer in points:
        assert any(size <= parameters and error <= wer for size, error in front)
    for one in front:
        assert not any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in points)
