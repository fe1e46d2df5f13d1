"""Figures are said with their unit and direction."""

import pytest

from shrinkml.report.wording import interval, wer_change


@pytest.mark.parametrize(
    ("difference", "words"),
    [(0.003, "0.30 points more WER"), (-0.001, "0.10 points less WER"), (0.0, "the same WER")],
)
def test_a_change_of_wer_says_its_direction(difference, words):
    assert wer_change(difference) == words


def test_an_interval_is_in_percent():
    assert interval((0.0041, 0.0087)) == "0.41 to 0.87 %"
