"""Few utterances that stand for many."""

from pathlib import Path

import pytest

from shrinkml.export.few_utterances import first_few
from shrinkml.speech.utterance import Utterance


@pytest.mark.parametrize(
    ("durations", "n_few"),
    [([2.0] * 30, 16), ([13.0] * 30, 3), ([50.0, 1.0], 1), ([39.0, 1.0, 0.5], 2), ([2.0], 1), ([], 0)],
)
def test_few_long_utterances_hold_as_much_as_many_short_ones(durations, n_few):
    utterances = [Utterance(Path("a.wav"), duration, "yes") for duration in durations]
    assert first_few(utterances, most=16, seconds=40.0) == utterances[:n_few]
