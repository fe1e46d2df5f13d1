import json

import pytest
from transformers import Wav2Vec2CTCTokenizer

from shrinkml.errors import ExportError
from shrinkml.models.huggingface.text_tokens import Text

MARKS = ["<pad>", "<s>", "</s>", "<unk>", "|"]
CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюя"


@pytest.fixture
def text(tmp_path):
    """Letters -> the text of a tokenizer of them."""

    def make(letters):
        (tmp_path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate([*MARKS, *letters])}))
        return Text(Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json")))

    return make


@pytest.mark.parametrize("letters", [CYRILLIC, CYRILLIC.upper(), "abcdefghijklmnopqrstuvwxyz".upper(), "アイウエオ"])
def test_lower_case_references_are_written_in_the_letters_of_the_vocabulary(text, letters):
    known = text(letters)
    ids = known.encode(letters.lower())
    assert ids == [*range(len(MARKS), len(MARKS) + len(letters))]
    assert known.decode(ids) == letters


def test_every_token_has_its_piece_in_an_alphabet_that_is_not_latin(text):
    known = text(CYRILLIC)
    assert known.pieces(len(MARKS) + len(CYRILLIC))[len(MARKS) :] == tuple(CYRILLIC)


def test_pieces_of_nothing_but_marks_are_refused(text):
    with pytest.raises(ExportError, match="none of the tokenizer's first 5 tokens is text by itself"):
        text(CYRILLIC).pieces(5)
