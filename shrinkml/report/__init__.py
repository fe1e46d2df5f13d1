"""The evidence of a run: report.json for programs, report.html for people (self-contained), a table for terminals."""

import json
from pathlib import Path

from shrinkml.extras import needs
from shrinkml.report.facts import summary_table
from shrinkml.report.record import Report
from shrinkml.report.report_json import from_json, read_report, to_json

__all__ = ["Report", "from_json", "read_report", "summary_table", "to_json", "write_report"]


def write_report(report: Report, folder: Path) -> None:
    """Write `report` to report.json and report.html in `folder`, which is made if it is not there.

    Args:
        report: the findings of a run.
        folder: the two files in it are replaced.

    Raises:
        ValueError: a value that JSON cannot hold, such as NaN.
        MissingPackageError: the page needs packages that are not installed.
    """
    with needs("the page of a report"):
        from shrinkml.report.page import render

    text, page = json.dumps(to_json(report), indent=2), render(report)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(text + "\n")
    (folder / "report.html").write_text(page, encoding="utf-8")
