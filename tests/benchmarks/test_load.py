"""`make bench-load`, in small: its figures are of a real server, worker and clients."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "load.py"


def test_waits_are_told_as_percentiles(bench):
    waits = bench.Waits.of([i / 1000 for i in range(1, 101)], Counter({200: 100}))
    assert (waits.requests, waits.answers, waits.most_ms) == (100, {200: 100}, 100.0)
    assert waits.p50_ms == pytest.approx(50.5)
    assert waits.p99_ms == pytest.approx(99.01)


@pytest.mark.slow
def test_a_small_load_is_borne_and_told(tmp_path):
    few = ("--polling", "3", "--following", "2", "--rate", "20", "--submissions", "40", "--pieces", "60")
    run = subprocess.run(
        [sys.executable, SCRIPT, *few, "--json", tmp_path / "load.json"], capture_output=True, text=True, check=True
    )
    load = json.loads((tmp_path / "load.json").read_text())
    assert load["status"]["answers"].keys() == {"200"}
    assert load["submit"]["requests"] == 40
    assert load["submit"]["answers"].keys() <= {"202", "503"}
    assert load["streamed"] > 0
    assert f"job: {load['alone_s']:.1f} s alone" in run.stdout
