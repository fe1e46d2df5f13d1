"""Rows about searches say what older reports did not."""

import pytest

from shrinkml.errors import ConfigError
from shrinkml.report.report_json import from_json
from shrinkml.report.search_rows import ComparisonRow, Finalist


def test_a_step_of_an_older_report_has_no_finalists_and_was_fine_tuned(report):
    for key in ("finalists", "evaluations", "kept", "reached_ratio"):
        del report["steps"][0][key]
    step = from_json(report).steps[0]
    assert (step.finalists, step.evaluations, step.kept, step.reached_ratio) == ((), 0, "fine-tuned", None)


def test_rows_that_hold_rows_are_read_as_records(report):
    found = from_json(report)
    assert found.steps[1].finalists[1] == Finalist("greedy", 0, 0.021, 0.0341)
    assert [entry.rank for entry in found.menus[0].entries] == [8, 24, 48, None]
    assert isinstance(found.comparison[0], ComparisonRow)


def test_a_row_without_its_wer_is_named(report):
    del report["trials"][3]["wer"]
    with pytest.raises(ConfigError, match=r"trials\.3\.wer: Field required"):
        from_json(report)
