"""The comparison of two versions: what counts as the same, and what the probe prints of this one."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_rows_are_the_same_exactly_where_their_digests_are(bench):
    old, new = bench.Row("a", "1 plan", "x"), bench.Row("a", "1 plan", "y")
    assert bench.compared({"a": old}, {"a": old}) == [("a", "1 plan", "1 plan", "same")]
    assert bench.compared({"a": old}, {"a": new}) == [("a", "1 plan", "1 plan", "DIFFERENT")]
    assert bench.compared({"a": old}, {"b": new})[1] == ("b", "-", "1 plan", "only one has it")


def test_the_probe_prints_a_line_for_each_strategy_on_each_toy(bench):
    probe = bench.PROBE.replace("in STRATEGIES:", "in ('greedy', 'uniform'):")
    assert probe != bench.PROBE
    rows = [json.loads(line) for line in bench.run(ROOT, ["-c", probe, "4", "separable"]).splitlines()]
    assert [row[:2] for row in rows] == [["greedy on the toy separable", 1], ["uniform on the toy separable", 1]]
    assert rows[0][2] != rows[1][2], "they judge different plans"
