import json


def test_the_report_lies_in_the_folder_and_its_stage_keeps_the_three_figures(finished):
    _, folder, report, _ = finished
    kept = json.loads((folder / "stages" / "report" / "result.json").read_text())
    assert {key: kept[key] for key in kept if key != "seconds"} == {
        key: report[key] for key in ("goal_met", "compression_ratio", "size_ratio")
    }
    assert (folder / "report.html").is_file()
