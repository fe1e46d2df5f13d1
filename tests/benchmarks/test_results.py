"""The README's table is what `make results` prints."""

import subprocess
import sys
from pathlib import Path

from shrinkml.report import from_json, write_report

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "results.py"


def results(runs):
    return subprocess.run([sys.executable, SCRIPT, runs], capture_output=True, text=True, timeout=60)


def test_every_report_is_a_row_with_before_and_after(report, tmp_path):
    write_report(from_json(report), tmp_path / "demo")
    write_report(from_json({**report, "goal_met": False}), tmp_path / "digits")
    header, rule, demo, digits = results(tmp_path).stdout.splitlines()
    assert header.count("|") == rule.count("|") == demo.count("|")
    assert (
        "| demo | 5.41 M to 1.07 M | 5.0 | 0.62 % (0.41 to 0.87 %) | 0.73 % (0.50 to 0.99 %) "
        "| 0.31 % to 0.36 % | 1.80x | 1.81x | 5.5 |"
    ) in demo
    assert digits.startswith("| digits (goal missed) |")


def test_without_a_report_it_says_how_to_make_one(tmp_path):
    run = results(tmp_path)
    assert run.returncode == 1
    assert "no report under" in run.stderr
    assert "`make demo`" in run.stderr


def test_the_iterative_table_follows_where_there_is_one(report, tmp_path):
    write_report(from_json(report), tmp_path / "demo")
    (tmp_path / "bench" / "iterative").mkdir(parents=True)
    (tmp_path / "bench" / "iterative" / "table.md").write_text("| ratio | method |\n")
    assert results(tmp_path).stdout.endswith("\n\n| ratio | method |\n")


def test_what_was_to_save_bytes_is_so_many_times_smaller_in_bytes(report, tmp_path):
    report["goal"]["resource"] = "bytes"
    report["baseline"]["bytes"], report["result"]["bytes"] = 9_000_000, 3_000_000
    write_report(from_json(report), tmp_path / "demo")
    assert "| 5.41 M to 1.07 M | 3.0 in bytes |" in results(tmp_path).stdout
