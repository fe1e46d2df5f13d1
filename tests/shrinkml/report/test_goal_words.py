"""The headline says what became of the goal."""

import pytest

from shrinkml.report.goal_words import headline
from shrinkml.report.report_json import from_json


def test_a_met_goal_is_said_with_what_was_reached_and_allowed(report):
    expected = "Goal met: 5.05 times smaller with 0.11 points more WER on test (at most 0.30 points more allowed)."
    assert headline(from_json(report)) == expected


@pytest.mark.parametrize(
    ("missed_by", "words"),
    [
        (
            (0.8, 0.0, 0.0012),
            "; 0.80 short of 5 times; the best model 5 times smaller has 0.12 points too many on dev.",
        ),
        ((0.0, 0.0012, 0.0), "; 0.12 points of WER too many."),
        ((0.8, 0.0012, 0.0), "; 0.80 short of 5 times; 0.12 points of WER too many."),
    ],
)
def test_a_missed_goal_is_said_with_by_how_much(report, missed_by, words):
    keys = ("compression_ratio", "wer", "wer_at_goal_ratio")
    report.update(goal_met=False, missed_by=dict(zip(keys, missed_by, strict=True)))
    said = headline(from_json(report))
    assert said.startswith("Goal missed: 5.05 times smaller with 0.11 points more WER on test")
    assert said.endswith(words)


@pytest.mark.parametrize(
    ("resource", "met", "missed"),
    [
        (
            "macs",
            "Goal met: 3.05 times cheaper in multiply-accumulates, 5.05 times smaller, with 0.11 points more WER",
            "; 0.80 short of 5 times; the best model 5 times cheaper in multiply-accumulates has 0.12 points too many",
        ),
        (
            "latency",
            "Goal met: 1.80 times as fast at batch 1, 5.05 times smaller, with 0.11 points more WER on test",
            "; 0.80 short of 5 times; the best model 5 times as fast at batch 1 has 0.12 points too many on dev",
        ),
    ],
)
def test_a_goal_is_said_in_what_it_counts(report, resource, met, missed):
    report["goal"]["resource"] = resource
    report["result"]["macs_per_s"] = 2e7
    assert headline(from_json(report)).startswith(met)
    report.update(goal_met=False, missed_by={"compression_ratio": 0.8, "wer": 0.0, "wer_at_goal_ratio": 0.0012})
    assert missed in headline(from_json(report))
