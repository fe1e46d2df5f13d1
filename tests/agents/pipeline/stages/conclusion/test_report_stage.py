import json

from shrinkml.report import read_report, to_json


def test_the_report_lies_in_the_folder_and_its_stage_keeps_the_three_figures(finished):
    _, folder, report, _ = finished
    kept = json.loads((folder / "stages" / "report" / "result.json").read_text())
    assert {key: kept[key] for key in kept if key != "seconds"} == {
        key: report[key] for key in ("goal_met", "compression_ratio", "size_ratio")
    }
    assert (folder / "report.html").is_file()


def test_what_the_stages_before_kept_stands_in_it_as_it_was(finished):
    _, folder, report, _ = finished
    speed, test = (json.loads((folder / "stages" / stage / "result.json").read_text()) for stage in ("speed", "test"))
    assert (report["speedup"], report["runtimes"]) == (speed["speedup"], speed["runtimes"])
    assert (report["baseline"], report["result"]) == (test["baseline"], test["result"])
    assert report["samples"] == test["samples"]


def test_the_file_is_read_into_the_record_that_it_was_written_from(finished):
    _, folder, report, _ = finished
    assert to_json(read_report(folder / "report.json")) == report == json.loads((folder / "report.json").read_text())
