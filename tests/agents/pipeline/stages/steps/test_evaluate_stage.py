import pytest

from agents.pipeline.stages.steps.evaluate_stage import keeps_tuned


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (0.30, 0.10, True),
        (0.30, 0.30, True),
        (0.05, 0.08, True),  # worse, but within the goal: noise, and more training is the better bet
        (0.05, 0.11, False),
        (0.30, 0.31, False),
    ],
)
def test_fine_tuning_is_undone_only_where_it_lost_what_the_gate_asks_for(before, after, kept):
    assert keeps_tuned(before, after, allowed=0.10) == kept
