# ruff: noqa: RUF001 - letters that look like others are what is tested
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shrinkml.speech.text import NORMALISER, normalise, without_punctuation


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
        ("Grüße", "grüsse"),
        ("İstanbul", "istanbul"),
        ("ΟΔΟΣ", "οδοσ"),
        ("обʼєкт", "об'єкт"),
        ("oʻzbek okina‘s ג׳ירפה", "o'zbek okina's ג'ירפה"),
        ("5′ ´tis", "5 tis"),
        ("co\N{SOFT HYPHEN}operate", "cooperate"),
        ("\N{ZERO WIDTH NO-BREAK SPACE}on\N{ZERO WIDTH SPACE}off", "on off"),
        ("می\N{ZERO WIDTH NON-JOINER}روم", "میروم"),
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
def test_upper_and_lower_case_are_the_same_words_but_for_letters_that_have_none(text):
    assert normalise(text.casefold()) == normalise(text)


@settings(deadline=None)
@given(st.text(string.printable))
def test_plain_ascii_is_as_in_version_1(text):
    lower = re.sub("[^a-z0-9']", " ", text.lower().replace("`", "'"))
    assert normalise(text) == " ".join(word for word in (word.strip("'") for word in lower.split()) if word)


@pytest.mark.parametrize(("text", "plain"), [("Don’t, STOP!", "Don't STOP"), ("ß-İ", "ß İ"), ("!?", "")])
def test_without_punctuation_case_stays(text, plain):
    assert without_punctuation(text) == plain


@settings(deadline=None)
@given(st.text())
def test_words_are_parted_by_single_spaces(text):
    assert normalise(text) == " ".join(normalise(text).split())


def test_the_normaliser_has_an_id_and_a_version():
    assert NORMALISER == "shrinkml-basic/2"
