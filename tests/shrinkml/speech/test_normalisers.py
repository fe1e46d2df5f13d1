import pytest

from shrinkml.errors import UnknownNameError
from shrinkml.speech.normalisers import DEFAULT, NORMALISERS, normaliser_called

CASES = {
    "shrinkml-basic": (
        "Mr. Brown\N{RIGHT SINGLE QUOTATION MARK}s colour, [noise] twenty-two!",
        "mr brown's colour noise twenty two",
    ),
    # As Radford et al. 2022, appendix C, describe them.
    "whisper-basic": (
        "Mr. Brown\N{RIGHT SINGLE QUOTATION MARK}s colour, [noise] twenty-two!",
        "mr brown s colour twenty two",
    ),
    "whisper-english-no-spelling": ("Mr. Brown's colour, [noise] uh twenty-two!", "mister brown is colour 22"),
    "none": (
        " Mr.  Brown\N{RIGHT SINGLE QUOTATION MARK}s colour,\n[noise]",
        "Mr. Brown\N{RIGHT SINGLE QUOTATION MARK}s colour, [noise]",
    ),
}


@pytest.mark.parametrize("name", NORMALISERS)
def test_each_does_what_its_source_says(name):
    text, expected = CASES[name]
    assert normaliser_called(name)(text) == expected


@pytest.mark.parametrize("name", NORMALISERS)
def test_an_id_is_the_name_and_a_version(name):
    found, _, version = normaliser_called(name).id.partition("/")
    assert found == name
    assert version


def test_the_default_is_in_the_table():
    assert DEFAULT in NORMALISERS


def test_an_unknown_name_is_refused():
    with pytest.raises(UnknownNameError, match="no normaliser named 'whisper'; known: none, shrinkml-basic, whisper-"):
        normaliser_called("whisper")
