"""What is smaller and not faster is said before anything else."""

import pytest

from shrinkml.report import summary_table
from shrinkml.report.report_json import from_json
from shrinkml.report.speed_table import not_faster


def test_a_model_that_is_faster_everywhere_needs_no_word(report):
    assert not_faster(from_json(report)) == ""


@pytest.mark.parametrize(
    ("torch", "int8", "words"),
    [
        ((0.9, 1.8), 1.4, "not everywhere faster: 0.90x at batch 1 in torch (1 thread)."),
        ((1.8, 1.8), 1.04, "not everywhere faster: 1.04x at batch 1 in ONNX Runtime, int8, 1.04x at batch 16 in "),
        (
            (0.9, 1.0),
            0.8,
            "not faster: 0.90x at batch 1 in torch, 1.00x at batch 16 in torch, 0.80x at batch 1 in ONNX",
        ),
    ],
)
def test_what_is_smaller_but_not_faster_comes_first(report, torch, int8, words):
    report["speedup"].update(batch1=torch[0], batch16=torch[1])
    report["runtimes"][-1].update(speedup_batch1=int8, speedup_batch16=int8)
    first, *_ = summary_table(from_json(report)).splitlines()
    assert first.startswith(f"5.05 times smaller, {words}")
    assert "). Goal met: 5.05 times smaller with" in first


def test_a_report_from_before_the_table_of_runtimes_says_it_of_torch(report):
    del report["runtimes"]
    report["speedup"].update(batch1=0.9, batch16=0.9)
    assert not_faster(from_json(report)).endswith(
        "not faster: 0.90x at batch 1 in torch, 0.90x at batch 16 in torch (1 thread)."
    )
