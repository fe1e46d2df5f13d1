from pathlib import Path

import pytest

from agents.pipeline.step import Step


@pytest.mark.parametrize(
    ("ratio", "number", "label"), [(2.0, 1, "2x"), (2.236, 1, "2.236x"), (12.5, 2, "12.5x-2"), (5.0, 3, "5x-3")]
)
def test_a_step_is_called_by_its_ratio_and_counted_where_it_is_not_the_first(ratio, number, label):
    step = Step(ratio=ratio, number=number, start=Path(), ahead=(), policies={})
    assert (step.label, step.checkpoint) == (label, f"step-{label}")
