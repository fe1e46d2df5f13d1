"""A report is two files: one for programs, one for people, and neither needs a network."""

import json
import re
from html.parser import HTMLParser

import plotly.graph_objects as go
import pytest

from shrinkml.report import write_report
from shrinkml.report.figures import FIGURES, figures
from shrinkml.report.report_json import from_json

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>"


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text outside scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self._open = [], "", None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open = tag

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        if self._open not in ("script", "style"):
            self.text += data


@pytest.fixture
def page(report, tmp_path):
    write_report(from_json(report), tmp_path)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_report_json_holds_what_was_given(report, tmp_path):
    write_report(from_json(report), tmp_path / "new" / "folder")
    assert json.loads((tmp_path / "new" / "folder" / "report.json").read_text()) == report


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_valid_for_plotly(report, name):
    go.Figure(figures(from_json(report))[name])  # raises ValueError on an unknown or wrong property


def test_a_value_that_json_cannot_hold_is_refused_before_a_file_is_written(report, tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(from_json({**report, "size_ratio": float("nan")}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_page_loads_nothing_from_elsewhere(page):
    loaders = [
        (tag, key) for tag, attributes in Tags(page).tags for key in attributes if key in ("src", "href", "srcset")
    ]
    assert loaders == []
    styles = "".join(re.findall(r"<style>(.*?)</style>", page, re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles


def test_the_page_holds_plotly_and_a_place_for_every_figure(page):
    assert "plotly.js v" in page
    drawn = {attributes["data-figure"] for _, attributes in Tags(page).tags if "data-figure" in attributes}
    embedded = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)[1])
    assert drawn == set(embedded)


def test_the_page_says_what_was_reached(page):
    text = Tags(page).text
    for fact in ("Goal met: 5.05 times smaller", "0.62 %", "0.41 to 0.87 %", "1,071,902", "1.80 times as fast"):
        assert fact in text


def test_the_page_shows_every_runtime_and_a_report_older_than_that_table_has_a_page_too(page, report, tmp_path):
    for cell in ("ONNX Runtime, int8", "0.0030\n0.0027 to 0.0036", "1.40x, 1.40x", "0.10 + 0.08 s", "121 MB"):
        assert f">{cell}</td>" in page
    del report["runtimes"]
    write_report(from_json(report), tmp_path / "old")
    assert "In every runtime" not in (tmp_path / "old" / "report.html").read_text(encoding="utf-8")


def test_the_page_shows_the_finalists_on_both_sets_and_a_report_older_than_them_has_a_page_too(page, report, tmp_path):
    for wer in ("2.18 %", "3.27 %", "2.10 %", "3.41 %"):
        assert f">{wer}</td>" in page
    for step in report["steps"]:
        del step["finalists"]
    write_report(from_json(report), tmp_path / "old")
    assert "From the proxy set to dev" not in (tmp_path / "old" / "report.html").read_text(encoding="utf-8")


def test_user_text_cannot_become_markup(report, tmp_path):
    report["job"]["name"] = HOSTILE
    report["samples"][0].update(reference=HOSTILE, baseline=HOSTILE, result=HOSTILE)
    report["layers"][0]["name"] = report["trials"][0]["strategy"] = report["comparison"][0]["strategy"] = HOSTILE
    report["steps"][-1]["finalists"][0]["strategy"] = report["checkpoints"][0]["name"] = HOSTILE
    report["versions"][HOSTILE] = HOSTILE
    write_report(from_json(report), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    tags = Tags(page).tags
    assert [tag for tag, _ in tags].count("script") == 3  # plotly, the figures, the drawing
    assert not [tag for tag, attributes in tags if tag == "img" or "onerror" in attributes]
    assert HOSTILE not in page


def test_user_text_cannot_become_markup_inside_a_figure_either(report, tmp_path):
    report["layers"][0]["name"] = "<a href='javascript:alert(1)'>w</a>"
    write_report(from_json(report), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    embedded = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)[1])
    assert embedded["ranks"]["data"][0]["y"][-1] == "&lt;a href=&#x27;javascript:alert(1)&#x27;&gt;w&lt;/a&gt;"


def test_a_run_without_baselines_or_samples_still_has_a_page(report, tmp_path):
    report.update(comparison=[], samples=[], trials=[], steps=[], checkpoints=[])
    write_report(from_json(report), tmp_path)
    assert "No other strategy was run to compare with." in (tmp_path / "report.html").read_text(encoding="utf-8")
