"""The figures are what plotly's own schema allows, and show every plan, stage and layer."""

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shrinkml.report.figures import LEAST_WER, figures, pareto_front


def trace(figure, name):
    return next(trace for trace in figure["data"] if trace["name"] == name)


@pytest.mark.parametrize("name", ["plans", "stages", "ranks", "menus", "search"])
def test_every_figure_is_valid_for_plotly(report, name):
    go.Figure(figures(report)[name])  # raises ValueError on an unknown or wrong property


def test_every_judged_plan_is_a_point(report):
    plans = figures(report)["plans"]
    strategies = {trial["strategy"] for trial in report["trials"]}
    assert sum(len(trace(plans, strategy)["x"]) for strategy in strategies) == len(report["trials"])


def test_a_plan_that_was_stopped_early_is_hollow_and_not_on_the_front(report):
    best = min(report["trials"], key=lambda trial: trial["wer"])
    assert 100 * best["wer"] in trace(figures(report)["plans"], "Pareto front")["y"]
    best["heard"] = 0.25
    plans = figures(report)["plans"]
    assert 100 * best["wer"] not in trace(plans, "Pareto front")["y"]
    points = trace(plans, best["strategy"])
    hollow = [y for y, symbol in zip(points["y"], points["marker"]["symbol"], strict=True) if symbol.endswith("-open")]
    assert hollow == [100 * best["wer"]]
    go.Figure(plans)  # raises ValueError on an unknown symbol


def test_the_original_is_marked_at_its_size_and_error_on_the_proxy_set(report):
    mark = trace(figures(report)["plans"], "original (on the proxy set)")
    assert mark["x"] == [pytest.approx(5.412334)]
    assert mark["y"] == [pytest.approx(0.58)]


def test_a_wer_of_zero_is_drawn_where_a_logarithmic_axis_can_show_it(report):
    report["trials"][0]["wer"] = 0.0
    assert min(trace(figures(report)["plans"], "ppo")["y"]) == 100 * LEAST_WER


def test_stages_show_wer_before_and_after_fine_tuning_in_percent(report):
    stages = figures(report)["stages"]
    assert trace(stages, "before fine-tuning")["y"] == pytest.approx([1.16, 3.27])
    assert trace(stages, "after fine-tuning")["y"] == pytest.approx([0.55, 0.71])


def test_the_most_that_the_goal_allows_is_a_line(report):
    lines = {shape["name"]: shape["y0"] for shape in figures(report)["stages"]["layout"]["shapes"]}
    assert lines["most allowed (0.88 %)"] == pytest.approx(100 * (0.0058 + 0.003))


def test_a_stage_that_missed_its_gate_is_named_so(report):
    report["stages"][1]["accepted"] = False
    assert trace(figures(report)["stages"], "after fine-tuning")["x"][1] == "2: 5.05x, missed"


def test_stages_are_called_by_what_the_goal_counts(report):
    report["goal"]["resource"] = "macs"
    report["stages"][0]["reached_ratio"] = 2.25
    stages = figures(report)["stages"]
    assert trace(stages, "after fine-tuning")["x"][0] == "1: 2.25x"
    assert stages["layout"]["xaxis"]["title"]["text"] == "stage: times cheaper in multiply-accumulates"


def test_layers_are_listed_from_the_input_on_top_with_dense_ones_named(report):
    ranks = trace(figures(report)["ranks"], "rank")
    assert ranks["y"][-1] == "encoder.0.weight_ih_l0"
    assert (ranks["y"][0], ranks["text"][0], ranks["x"][0]) == ("output.weight", "dense", 0)


def test_the_best_so_far_never_gets_worse_and_is_of_the_last_stage(report):
    curve = trace(figures(report)["search"], "ppo, seed 0")
    last = [100 * trial["wer"] for trial in report["trials"] if trial["stage"] == 2 and trial["strategy"] == "ppo"]
    assert curve["y"] == sorted(curve["y"], reverse=True)
    assert curve["y"][-1] == pytest.approx(min(last))


def test_a_plan_over_the_budget_is_never_the_best_so_far(report):
    before = trace(figures(report)["search"], "ppo, seed 0")
    first = next(i for i, row in enumerate(report["trials"]) if (row["stage"], row["strategy"]) == (2, "ppo"))
    probe = {**report["trials"][first], "wer": 0.0, "within_budget": False}
    report["trials"].insert(first + 1, probe)
    after = trace(figures(report)["search"], "ppo, seed 0")
    assert len(after["x"]) == len(before["x"]) + 1
    assert after["y"] == [before["y"][0], *before["y"]]


def test_the_line_of_a_search_that_ended_early_goes_on_to_where_the_longest_ends(report):
    search = figures(report)["search"]
    greedy, end = trace(search, "greedy, seed 0"), trace(search, "greedy, seed 0, its end")
    assert greedy["x"] == [1, 2, 3, 4, 50]
    assert greedy["y"][-1] == greedy["y"][-2] == end["y"][0]
    assert end["x"] == [4]
    assert trace(search, "ppo, seed 0")["x"] == list(range(1, 51))


def test_the_jobs_own_strategy_has_the_widest_line(report):
    widths = {line["name"]: line["line"]["width"] for line in figures(report)["search"]["data"] if "line" in line}
    assert max(widths, key=lambda name: widths[name]) == "ppo, seed 0"


def test_a_strategy_has_one_colour_in_all_figures(report):
    drawn = figures(report)
    assert (
        trace(drawn["plans"], "greedy")["marker"]["color"] == trace(drawn["search"], "greedy, seed 0")["line"]["color"]
    )


plans = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50).map(lambda n: n / 100)), min_size=1, max_size=30)


@given(plans)
def test_no_plan_beats_the_pareto_front(points):
    front = pareto_front(points)
    for parameters, wer in points:
        assert any(size <= parameters and error <= wer for size, error in front)
    for one in front:
        assert not any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in points)
