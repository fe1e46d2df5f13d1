"""report.json is the record, field by field, and older ones are still read."""

import json

import pytest

from shrinkml.errors import ConfigError
from shrinkml.report import write_report
from shrinkml.report.menu_cells import alone_in_words
from shrinkml.report.report_json import from_json, read_report, to_json


def test_what_is_written_is_read_again(report):
    assert to_json(from_json(report)) == report
    assert from_json(json.loads(json.dumps(to_json(from_json(report))))) == from_json(report)


def test_the_steps_of_older_reports_were_called_stages(report):
    older = {**report, "stages": [{**row, "stage": row["step"]} for row in report["steps"]]}
    older["trials"] = [{**row, "stage": row["step"]} for row in report["trials"]]
    del older["steps"]
    for row in (*older["stages"], *older["trials"]):
        del row["step"]
    assert from_json(older) == from_json(report)


def test_a_report_older_than_some_rows_has_none_of_them(report):
    for key in ("runtimes", "exports", "torch_int8", "plain_int8"):
        del report[key]
    del report["goal"]["resource"], report["steps"][0]["reached_ratio"], report["trials"][0]["heard"]
    found = from_json(report)
    assert (found.runtimes, found.exports, found.torch_int8, found.plain_int8) == ((), (), None, None)
    assert (found.goal.resource, found.steps[0].reached_ratio, found.trials[0].heard) == ("parameters", None, 1.0)


def test_losses_of_older_reports_were_per_utterance_and_are_not_known_per_token(report, tmp_path):
    for entry in (entry for row in report["menus"] for entry in row["entries"]):
        entry["divergence_alone"] = entry.pop("expected_loss")
    older = from_json(report)
    assert {entry.expected_loss for row in older.menus for entry in row.entries} == {None}
    assert "expected to move the outputs most" not in alone_in_words(older)
    write_report(older, tmp_path)
    assert "nats per token as chosen" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_unknown_keys_are_left_aside(report):
    assert from_json({**report, "later": 1}) == from_json(report)


def test_a_field_that_is_missing_or_wrong_is_named(report):
    del report["speedup"]["batch1"]
    report["steps"] = "two"
    with pytest.raises(ConfigError, match=r"no report of ShrinkML: speedup\.batch1: Field required \(and 1 more\)"):
        from_json(report)


def test_a_value_that_json_cannot_hold_is_refused(report):
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(from_json({**report, "size_ratio": float("inf")}))


def test_the_file_of_a_run_is_read(report, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert read_report(tmp_path / "report.json") == from_json(report)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no report in .*; a run writes report.json when it has ended"),
        ("{", "is no valid JSON: .*; allowed: the report.json of a run"),
        ("[1]", "holds a list; allowed: the report.json of a run"),
        ("{}", "no report of ShrinkML: job: Field required"),
    ],
)
def test_a_file_that_is_no_report_says_so(tmp_path, text, message):
    path = tmp_path / "report.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_report(path)
