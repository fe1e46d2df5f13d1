import pytest

import shrinkml
from shrinkml.speech.spelling import Spelling, spell

UNKNOWN = 0


def in_words(*vocabulary):
    """Encodes by words."""
    ids = {word: i for i, word in enumerate(vocabulary, start=1)}
    return lambda text: [ids.get(word, UNKNOWN) for word in text.split()]


@pytest.mark.parametrize(
    ("text", "vocabulary"),
    [
        ("TURN ON!", ("turn", "on")),
        ("turn on", ("TURN", "ON")),
        ("Turn, on.", ("Turn", "on")),
        ("“turn-on”", ("TURN", "ON")),
        ("Café", ("cafe",)),
        ("Straße, bitte", ("straße", "bitte")),
        ("ﬁne", ("fine",)),
    ],
)
def test_the_form_that_the_vocabulary_knows_is_taken(text, vocabulary):
    assert spell(text, in_words(*vocabulary), UNKNOWN) == Spelling([*range(1, len(vocabulary) + 1)], 0)


def test_what_fits_as_it_is_stays_as_it_is():
    assert spell("Polish polish", in_words("Polish", "polish"), UNKNOWN).tokens == [1, 2]


def test_of_forms_with_equally_many_unknown_tokens_the_first_is_taken():
    assert spell("On, xyzzy", in_words("On,", "on"), UNKNOWN) == Spelling([1, UNKNOWN], 1)


def test_punctuation_alone_stays_unknown():
    assert spell("?!", in_words("on"), UNKNOWN) == Spelling([UNKNOWN], 1)


def test_without_a_token_for_it_nothing_is_unknown():
    assert spell("XYZZY", in_words("on"), None) == Spelling([UNKNOWN], 0)


@pytest.mark.parametrize("name", ["reference/las", "reference/ctc"])
@pytest.mark.parametrize("form", [str.upper, str.title, lambda text: f"{text.capitalize()}!"])
def test_the_bundled_models_read_references_in_any_form(name, form):
    model = shrinkml.load(name)
    text = "turn on the lights in the kitchen"
    assert model.spelling(text).n_unknown == 0
    assert model.spelling(form(text)) == model.spelling(text)
