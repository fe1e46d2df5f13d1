"""The evidence of a run: report.json for programs, report.html for people (self-contained), a table for terminals."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shrinkml.extras import needs
from shrinkml.report.wording import summary_table

__all__ = ["summary_table", "write_report"]


def write_report(report: Mapping[str, Any], folder: Path) -> None:
    """Writes `report` to report.json and report.html in `folder`, which is made if it is not there.

    Args:
        report: what `shrinkml.report.record.Report` describes, JSON-able.
        folder: the two files in it are replaced.

    Raises:
        ValueError: a value that JSON cannot hold, such as NaN.
        MissingPackageError: what draws the page is not installed.
    """
    with needs("the page of a report"):
        from shrinkml.report.page import render

    text = json.dumps(report, indent=2, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(text + "\n")
    (folder / "report.html").write_text(render(json.loads(text)), encoding="utf-8")
