from pathlib import Path

import pytest

from shrinkml.errors import ManifestError
from shrinkml.speech.spelling import Spelling
from shrinkml.speech.unknown_tokens import check_known, unknown_share
from shrinkml.speech.utterance import Utterance


def spelled(text):
    """A token per word, unknown where it has an x."""
    words = text.split()
    return Spelling([0] * len(words), sum("x" in word for word in words))


def said(*texts):
    return [Utterance(Path(f"{i}.wav"), 1.0, text) for i, text in enumerate(texts)]


def test_the_share_is_one_of_all_tokens_not_of_texts():
    assert unknown_share(["x", "a b c"], spelled) == 1 / 4


def test_a_model_that_does_not_tell_its_tokens_knows_all():
    assert unknown_share(["x"], lambda text: None) == 0.0


def test_a_fifth_may_be_unknown():
    check_known("train", said("a b", "a b x"), spelled)


def test_more_is_refused_and_the_worst_are_shown():
    message = r"25% of the tokens of train are unknown .*; allowed: 20%\. .*:\n  1\.wav: 'x'\n  0\.wav: 'a b c'$"
    with pytest.raises(ManifestError, match=message):
        check_known("train", said("a b c", "x"), spelled)
