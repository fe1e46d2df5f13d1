"""`make bench-growth` runs what is predicted to be short, and says what it left out."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "growth.py"
GRID = ("--strategies", "evolution", "--encoder-layers", "0", "--evaluations", "40", "10", "20")


def grown(out, limit):
    made = subprocess.run(
        [sys.executable, SCRIPT, *GRID, "--out", out, "--limit", str(limit)], capture_output=True, text=True, check=True
    )
    return made.stdout.splitlines()[2:], json.loads((out / "table.json").read_text())


def test_long_searches_are_left_out_until_the_limit_allows_them_and_others_are_kept(tmp_path):
    lines, rows = grown(tmp_path, limit=0)
    assert lines[0].startswith("| evolution | 6 | 10 | 10 |")
    left_out = [line.split(" | ")[2:5:2] for line in lines[1:]]
    assert [n for n, _ in left_out] == ["20", "40"]
    assert all(told.startswith("left out: about ") for _, told in left_out)
    assert ["predicted_seconds" in row for row in rows] == [False, True, True]
    made = (tmp_path / "evolution-6-10.json").stat().st_mtime_ns
    _, rows = grown(tmp_path, limit=600)
    assert [row["judged"] for row in rows] == [10, 20, 40]
    assert (tmp_path / "evolution-6-10.json").stat().st_mtime_ns == made
