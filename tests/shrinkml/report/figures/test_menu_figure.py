"""Every entry of every menu is drawn by what it keeps, coloured by what it adds alone."""

import math

import pytest

from shrinkml.report import write_report
from shrinkml.report.figures.menu_figure import INCREASES, menus_figure
from shrinkml.report.report_json import from_json

MEASURED = {level.name for level in INCREASES}


def drawn(report):
    """Trace name -> the (layer, rank) that it shows."""
    return {
        trace["name"]: {(layer, data[0]) for layer, data in zip(trace["y"], trace["customdata"], strict=True)}
        for trace in menus_figure(from_json(report))["data"]
    }


def entries(report):
    return [(row, entry) for row in report["menus"] for entry in row["entries"]]


def test_every_entry_of_every_menu_is_drawn_once_and_the_chosen_ones_have_rings(report):
    shown = drawn(report)
    chosen = shown.pop("chosen")
    assert chosen == {(row["name"], str(entry["rank"] or "dense")) for row, entry in entries(report) if entry["chosen"]}
    assert len(chosen) == len(report["layers"])
    assert sum(map(len, shown.values())) == len(set().union(*shown.values()))
    assert set().union(chosen, *shown.values()) == {
        (row["name"], str(entry["rank"] or "dense")) for row, entry in entries(report)
    }


@pytest.mark.parametrize(
    ("more", "step"),
    [
        (-0.001, "no more WER"),
        (0.0, "no more WER"),
        (0.001, "up to 0.3 points"),
        (0.05, "up to 10 points"),
        (2, "worse"),
    ],
)
def test_a_square_is_coloured_by_the_wer_that_its_layer_adds_alone(report, more, step):
    lowest, *_, unchanged = report["menus"][3]["entries"]
    lowest["wer_alone"] = unchanged["wer_alone"] + more
    assert ("encoder.0.weight_hh_l0_reverse", "8") in drawn(report)[step]


def test_what_a_layer_keeps_is_its_place_in_percent(report):
    lowest = report["menus"][0]["entries"][0]
    places = {
        (layer, text): x
        for trace in menus_figure(from_json(report))["data"]
        if trace["name"] in MEASURED
        for layer, text, x in zip(trace["y"], trace["text"], trace["x"], strict=True)
    }
    assert places["encoder.0.weight_ih_l0", "8"] == pytest.approx(100 * lowest["weights_kept"])
    assert lowest["weights_kept"] == 8 * (1280 + 160) / (1280 * 160)


def test_a_circle_is_the_larger_the_farther_the_outputs_are_expected_to_move(report):
    _, few, chosen, many, _ = report["menus"][1]["entries"]
    assert chosen["chosen"]
    few["expected_loss"], many["expected_loss"] = 3.0, 0.2
    (circles,) = (trace for trace in menus_figure(from_json(report))["data"] if trace["name"] == "on the menu")
    first = circles["y"].index("encoder.0.weight_hh_l0")
    large, small, none = circles["marker"]["size"][first : first + 3]
    assert large > small > none
    assert small == pytest.approx(16.0 + 3.0 * math.log10(0.2)), "16 pixels for a nat per token, 3 more for ten"
    assert circles["customdata"][first] == [str(few["rank"]), "; alone: 3 nats per token expected"]


def test_without_a_measurement_the_page_says_what_would_make_some(report, tmp_path):
    for row in report["menus"]:
        for entry in row["entries"]:
            entry["expected_loss"] = None
        row["entries"][0]["wer_alone"] = None
    assert MEASURED.isdisjoint(drawn(report))
    write_report(from_json(report), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No strategy of this job measured layers alone; with knapsack among search.baselines, one does." in page
    assert "nats" not in page.split("plotly.js")[0] + page.split("</script>")[-1]
