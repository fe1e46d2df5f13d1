import pytest

from shrinkml.errors import CheckpointError
from shrinkml.models.tokenizer import BLANK, END, SPECIAL, UNKNOWN, Tokenizer


@pytest.mark.parametrize("unit", ["word", "char"])
def test_text_survives_encoding(unit):
    tokenizer = Tokenizer.from_texts(["turn on the lamp", "off"], unit)
    assert tokenizer.decode(tokenizer.encode("turn off the lamp")) == "turn off the lamp"


def test_unknown_words_become_the_unknown_token():
    assert Tokenizer.from_texts(["on off"], "word").encode("on xyzzy") == [4, UNKNOWN]


def test_decoding_stops_at_the_end_and_skips_blanks():
    tokenizer = Tokenizer.from_texts(["on off"], "word")
    assert tokenizer.decode([BLANK, 4, BLANK, 3, END, 3]) == "on off"


def test_the_vocabulary_is_sorted_and_starts_with_the_special_tokens():
    assert Tokenizer.from_texts(["b a", "a c"], "word").vocabulary == (*SPECIAL, "a", "b", "c")


def test_a_vocabulary_without_the_special_tokens_is_refused():
    with pytest.raises(CheckpointError, match="starts with <blank>, <end>, <unk>"):
        Tokenizer(["a", "b", "c", "d"], "word")
