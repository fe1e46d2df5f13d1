import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shrinkml.speech.text import NORMALISER, normalise


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Turn ON the  lights!", "turn on the lights"),
        ("don\N{RIGHT SINGLE QUOTATION MARK}t", "don't"),
        ("'quoted' rock 'n' roll", "quoted rock n roll"),
        ("twenty-one, please.", "twenty one please"),
        ("\tone\ntwo ", "one two"),
        ("3.5 %", "3 5"),
        ("\N{LATIN SMALL LIGATURE FI}ne x\N{SUPERSCRIPT TWO}", "fine x2"),
        ("Grüße", "grüße"),
        ("cafe\N{COMBINING ACUTE ACCENT}", "café"),
        ("हिन्दी", "हिन्दी"),
        ("snake_case a+b", "snake case a b"),
        ("...", ""),
        ("' ''", ""),
    ],
)
def test_only_case_and_punctuation_go(text, expected):
    assert normalise(text) == expected


@settings(deadline=None)
@given(st.text())
def test_normalising_twice_changes_nothing_more(text):
    assert normalise(normalise(text)) == normalise(text)


@settings(deadline=None)
@given(st.text())
def test_words_are_parted_by_single_spaces(text):
    assert normalise(text) == " ".join(normalise(text).split())


def test_the_normaliser_has_an_id_and_a_version():
    assert NORMALISER == "shrinkml-basic/1"
