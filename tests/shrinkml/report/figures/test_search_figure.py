"""Every search shows the best plan that it had so far."""

import pytest

from shrinkml.report.figures import figures
from shrinkml.report.report_json import from_json
from tests.shrinkml.report.figures.traces_of import trace


def test_the_best_so_far_never_gets_worse_and_is_of_the_last_step(report):
    curve = trace(figures(from_json(report))["search"], "ppo, seed 0")
    last = [100 * trial["wer"] for trial in report["trials"] if trial["step"] == 2 and trial["strategy"] == "ppo"]
    assert curve["y"] == sorted(curve["y"], reverse=True)
    assert curve["y"][-1] == pytest.approx(min(last))


def test_a_plan_over_the_budget_is_never_the_best_so_far(report):
    before = trace(figures(from_json(report))["search"], "ppo, seed 0")
    first = next(i for i, row in enumerate(report["trials"]) if (row["step"], row["strategy"]) == (2, "ppo"))
    probe = {**report["trials"][first], "wer": 0.0, "within_budget": False}
    report["trials"].insert(first + 1, probe)
    after = trace(figures(from_json(report))["search"], "ppo, seed 0")
    assert len(after["x"]) == len(before["x"]) + 1
    assert after["y"] == [before["y"][0], *before["y"]]


def test_the_line_of_a_search_that_ended_early_goes_on_to_where_the_longest_ends(report):
    search = figures(from_json(report))["search"]
    greedy, end = trace(search, "greedy, seed 0"), trace(search, "greedy, seed 0, its end")
    assert greedy["x"] == [1, 2, 3, 4, 50]
    assert greedy["y"][-1] == greedy["y"][-2] == end["y"][0]
    assert end["x"] == [4]
    assert trace(search, "ppo, seed 0")["x"] == list(range(1, 51))


def test_the_jobs_own_strategy_has_the_widest_line(report):
    widths = {
        line["name"]: line["line"]["width"] for line in figures(from_json(report))["search"]["data"] if "line" in line
    }
    assert max(widths, key=lambda name: widths[name]) == "ppo, seed 0"
