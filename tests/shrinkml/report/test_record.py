"""The record of a report has the fields that report.json and its documentation have."""

import inspect
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from shrinkml.report import record, search_rows
from shrinkml.report.record import Report
from shrinkml.report.report_json import from_json

RECORDS = [
    one
    for module in (record, search_rows)
    for one in vars(module).values()
    if inspect.isclass(one) and is_dataclass(one) and one.__module__ == module.__name__
]


def documented(kind):
    """The names below "Attributes:" in the docstring of `kind`, in order."""
    return re.findall(r"^    (\w+): ", inspect.getdoc(kind).split("Attributes:")[1], re.MULTILINE)


@pytest.mark.parametrize("kind", RECORDS)
def test_every_field_is_documented_in_its_order(kind):
    assert documented(kind) == [field.name for field in fields(kind)]


@pytest.mark.parametrize("kind", RECORDS)
def test_no_row_can_be_changed_or_hold_more(kind):
    assert kind.__dataclass_params__.frozen
    assert not hasattr(object.__new__(kind), "__dict__")


def test_the_example_has_exactly_the_keys_of_the_record(report):
    assert set(report) == {field.name for field in fields(Report)}


def test_the_documentation_points_to_the_record():
    page = Path(__file__).resolve().parents[3] / "docs" / "data.md"
    assert "`report.json` has the keys of [shrinkml/report/record.py]" in page.read_text(encoding="utf-8")


def test_a_report_knows_its_job_its_strategy_and_its_last_finalists(report):
    found = from_json(report)
    assert (found.name, found.strategy) == ("demo", "ppo")
    assert [finalist.strategy for finalist in found.finalists] == ["ppo", "greedy"]
    assert from_json({**report, "steps": []}).finalists == ()
