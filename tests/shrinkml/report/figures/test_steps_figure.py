"""Every step shows its WER before and after fine-tuning, and the goal."""

import pytest

from shrinkml.report.figures import figures
from shrinkml.report.report_json import from_json
from tests.shrinkml.report.figures.traces_of import trace


def test_steps_show_wer_before_and_after_fine_tuning_in_percent(report):
    steps = figures(from_json(report))["steps"]
    assert trace(steps, "before fine-tuning")["y"] == pytest.approx([1.16, 3.27])
    assert trace(steps, "after fine-tuning")["y"] == pytest.approx([0.55, 0.71])


def test_steps_are_called_by_what_the_goal_counts(report):
    report["goal"]["resource"] = "macs"
    report["steps"][0]["reached_ratio"] = 2.25
    steps = figures(from_json(report))["steps"]
    assert trace(steps, "after fine-tuning")["x"][0] == "1: 2.25x"
    assert steps["layout"]["xaxis"]["title"]["text"] == "step: times cheaper in multiply-accumulates"


def test_the_most_that_the_goal_allows_is_a_line(report):
    lines = {shape["name"]: shape["y0"] for shape in figures(from_json(report))["steps"]["layout"]["shapes"]}
    assert lines["most allowed (0.88 %)"] == pytest.approx(100 * (0.0058 + 0.003))


def test_a_step_that_missed_its_gate_is_named_so(report):
    report["steps"][1]["accepted"] = False
    assert trace(figures(from_json(report))["steps"], "after fine-tuning")["x"][1] == "2: 5.05x, missed"
