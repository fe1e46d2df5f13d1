from pathlib import Path

import pytest

from shrinkml.errors import ScoringError
from shrinkml.measure.utterance_rows import UtteranceRow, utterance_rows
from shrinkml.speech.scoring import word_errors
from shrinkml.speech.utterance import Utterance

SAID = [Utterance(Path("a.wav"), 1.0, "Lights on, please."), Utterance(Path("b.wav"), 1.0, "Off!")]
HEARD = ["lights off please now", "off"]


def test_a_row_tells_what_was_compared_and_the_errors():
    first, second = utterance_rows(SAID, HEARD, "shrinkml-basic")
    assert first == UtteranceRow(
        "a.wav", "Lights on, please.", HEARD[0], "lights on please", "lights off please now", 1, 0, 1
    )
    assert (second.substitutions, second.deletions, second.insertions) == (0, 0, 0)


@pytest.mark.parametrize("normaliser", ["shrinkml-basic", "none"])
def test_the_errors_of_all_rows_are_those_of_the_corpus(normaliser):
    rows = utterance_rows(SAID, HEARD, normaliser)
    counted = sum(row.substitutions + row.deletions + row.insertions for row in rows)
    assert counted == word_errors([one.text for one in SAID], HEARD, normaliser=normaliser).errors.sum()


def test_each_utterance_needs_a_transcript():
    with pytest.raises(ScoringError, match="2 references for 1 hypotheses"):
        list(utterance_rows(SAID, HEARD[:1], "none"))
